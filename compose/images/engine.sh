#!/usr/bin/env bash
# A Docker engine where none answers: compose/images/engine.sh start|stop. Exit 3, and why, where none can be had.
# start: installs docker.io, as root on Debian, and starts it; an engine that answers is left as it is. stop: ends only what start has started.
set -euo pipefail
pid_file=/var/run/holdwater-dockerd.pid
log=/var/log/holdwater-dockerd.log
say() { echo "holdwater: $*" >&2; }

start() {
  docker version >/dev/null 2>&1 && return
  if [ "$(id -u)" -ne 0 ]; then
    say "no Docker engine answers, and only root can start one"
    exit 3
  fi
  if ! command -v dockerd >/dev/null; then
    if ! command -v apt-get >/dev/null; then
      say "no Docker engine answers, and this is not Debian: install one"
      exit 3
    fi
    say "installing docker.io"
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends docker.io >&2
  fi
  # After a kill -9 the pid files of a process that is only a zombie keep the engine from starting.
  rm -f /var/run/docker.pid /var/run/docker/containerd/containerd.pid
  say "starting an engine"
  setsid dockerd >"$log" 2>&1 </dev/null &
  echo $! > "$pid_file"
  for _ in $(seq 1 120); do
    docker version >/dev/null 2>&1 && return
    sleep 0.5
  done
  say "no engine answers; the end of its log:"
  tail -5 "$log" >&2
  exit 3
}

stop() {
  [ -e "$pid_file" ] || return 0
  kill "$(cat "$pid_file")" 2>/dev/null || true
  rm -f "$pid_file"
}

case "${1:-}" in
  start | stop) "$1" ;;
  *) say "what to do is ${1:-missing}, expected start or stop"; exit 64 ;;
esac
