"""DynamoDB by boto3: one conditional request a step, expiry by client clocks; run on an emulator, which says nothing of AWS."""
