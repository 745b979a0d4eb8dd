"""Starting real things and ending them: processes, proxies, containers, installed servers."""
