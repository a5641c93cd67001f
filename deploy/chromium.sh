#!/bin/sh
# See that a Chromium and Chinese fonts are there for the browser tests; install them when root, otherwise say so.
# Never fails: tests that find no browser are listed as not run, and in CI that is a failure.
set -u
missing=""
command -v chromium >/dev/null 2>&1 || [ -n "${CHROMIUM:-}" ] || missing="chromium"
{ command -v fc-list >/dev/null 2>&1 && fc-list :lang=zh family 2>/dev/null | grep -q .; } || missing="$missing fonts-noto-cjk"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "正在安装浏览器测试所需的软件 / installing for the browser tests:$missing …"
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of packages
    if apt-get update -qq >"$log" 2>&1 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing fontconfig >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    echo "没有装上:$missing($(tail -n 1 "$log"))。 Could not install:$missing; browser tests will be listed as not run." >&2
    rm -f "$log"
    exit 0
fi
echo "浏览器测试需要:$missing(apt install $missing),否则列为未运行。 Browser tests need:$missing; without it they are listed as not run." >&2
