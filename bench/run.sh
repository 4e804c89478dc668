#!/bin/sh
# Runs every benchmark, keeps the figures in bench/results/ and writes docs/BENCHMARKS.md from them.
# usage: bench/run.sh [DIRECTORY] [LARGE-MIB]: DIRECTORY should lie on a real disk. LARGE-MIB is the size of one large
# path, 128 by default; 1024 is what there is a goal for, and wants 6 GiB in memory.
set -eu
cd "$(dirname "$0")/.."
directory=${1:-${TMPDIR:-/tmp}}
mkdir -p bench/results
printf '{"machine": "%s cores, %s GiB, Linux %s", "date": "%s"}\n' "$(nproc)" \
  "$(awk '/MemTotal/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo)" "$(uname -r)" "$(date -u +%F)" \
  >bench/results/machine.json
# What is left without a disk, whose moods are larger than what is compared; a million small files take 5 GiB.
free=$(df --output=avail /dev/shm 2>/dev/null | tail -n 1)
memory=
if [ "${free:-0}" -gt 8000000 ]; then memory=/dev/shm; fi
node bench/hook.ts --million "$directory" >bench/results/hook.json
TMPDIR=${memory:-${TMPDIR:-/tmp}} node bench/delivery.ts 1000 9 >bench/results/delivery.json
TMPDIR=${memory:-${TMPDIR:-/tmp}} node bench/cache.ts "${2:-128}" >bench/results/cache.json
node bench/scale.ts "$directory" >bench/results/scale.json
if [ -n "$memory" ]; then
  node bench/scale.ts --seconds 15 "$memory" >bench/results/scale-memory.json
fi
node bench/report.ts
