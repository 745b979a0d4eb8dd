#!/usr/bin/env bash
# Stand-ins for the images of the topologies, for a machine that can pull nothing: from Debian's packages and from the
# programs that `holdwater install` has brought. Prints the variables that name them, for `docker compose --env-file`.
#
#   compose/images/build.sh > images.env
#
# Needs an engine (engine.sh) and Debian's packages; the base image is made with debootstrap, as root. Idempotent: what is there is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=${PYTHON:-$here/../../.venv/bin/python}
say() { echo "holdwater: $*" >&2; }

there() { docker image inspect "$1" >/dev/null 2>&1; }

base() {
  there holdwater/base:bookworm && return
  if ! command -v debootstrap >/dev/null; then
    apt-get update -qq >&2
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends debootstrap >&2
  fi
  say "making a base image, about a minute"
  local root
  root=$(mktemp -d)
  # shellcheck disable=SC2064
  trap "rm -rf '$root'" EXIT
  debootstrap --variant=minbase bookworm "$root" >/dev/null
  rm -rf "$root"/var/cache/apt/*.bin "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  printf '%s\n' 'Dir::Cache::pkgcache "";' 'Dir::Cache::srcpkgcache "";' 'Acquire::Languages "none";' > "$root/etc/apt/apt.conf.d/99small"
  echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
  tar -C "$root" -c . | docker import - holdwater/base:bookworm >/dev/null
  rm -rf "$root"
  trap - EXIT
}

build() { # name, [program of holdwater install, its name inside]
  local image=holdwater/$1:local context
  there "$image" && return
  say "building $image"
  context=$(mktemp -d)
  cp -r "$here/$1/." "$context"
  if [ $# -gt 1 ]; then
    cp "$("$python" -c "from harness.deploy.install import require; print(require('$2').path)")" "$context/$3"
  fi
  docker build --quiet --build-arg BASE_IMAGE=holdwater/base:bookworm --tag "$image" "$context" >/dev/null 2>&1 \
    || { say "building $image failed:"; docker build --build-arg BASE_IMAGE=holdwater/base:bookworm "$context" 2>&1 | tail -5 >&2; exit 3; }
  rm -rf "$context"
}

base
build redis
build etcd
build patroni
build toxiproxy toxiproxy toxiproxy-server
build dynoxide dynoxide dynoxide
cat <<'EOF'
REDIS_IMAGE=holdwater/redis:local
ETCD_IMAGE=holdwater/etcd:local
PATRONI_IMAGE=holdwater/patroni:local
POSTGRES_IMAGE=holdwater/patroni:local
TOXIPROXY_IMAGE=holdwater/toxiproxy:local
DYNAMODB_IMAGE=holdwater/dynoxide:local
DYNAMODB_COMMAND='serve --host 0.0.0.0 --port 8000'
DYNAMODB_DURABLE='--db-path /data/dynoxide.db'
DYNAMODB_IN_MEMORY=
EOF
