#!/bin/sh
# Make .venv and install the given locks into it, only when they changed. Every failure is one clear sentence.
set -u
cd "$(dirname "$0")/.." || exit 1
python=.venv/bin/python

fail() { # chinese english
    printf '%s\n%s\n' "$1" "$2" >&2
    exit 1
}

new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

if ! new_enough "$python"; then
    [ -e .venv ] && rm -rf .venv # made by another Python, or moved: it cannot be used
    found=""
    for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11 python}; do
        if command -v "$name" >/dev/null 2>&1; then
            if new_enough "$name"; then
                found=$name
                break
            fi
            old="$name $("$name" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null)"
        fi
    done
    if [ -z "$found" ]; then
        if [ -n "${old:-}" ]; then only="只找到 $old"; else only="没有找到 Python"; fi
        fail "需要 Python 3.11 或更新版本,$only。安装后再运行;装在别处时:PYTHON=/路径/python3 make run" \
            "Python 3.11 or newer is needed; found ${old:-none}. Install it, or name it: PYTHON=/path/python3 make run"
    fi
    if ! "$found" -c 'import venv, ensurepip' 2>/dev/null; then
        version=$("$found" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
        fail "这个 Python 缺少 venv 模块,请先安装(Debian/Ubuntu:apt install python$version-venv)。" \
            "This Python comes without venv; install it first (Debian/Ubuntu: apt install python$version-venv)."
    fi
    if ! problem=$("$found" -m venv .venv 2>&1); then
        rm -rf .venv
        fail "无法在 $(pwd) 建立 .venv:$(printf '%s' "$problem" | tail -n 1)" \
            "Could not make .venv in $(pwd): $(printf '%s' "$problem" | tail -n 1)"
    fi
fi

wanted=$(cat "$@")
stamp=.venv/installed-$#.txt
[ -f .venv/installed-2.txt ] && [ $# -eq 1 ] && [ "$(cat requirements.txt requirements-dev.txt)" = "$(cat .venv/installed-2.txt)" ] && exit 0
[ -f "$stamp" ] && [ "$wanted" = "$(cat "$stamp")" ] && exit 0

echo "正在安装依赖(首次约一分钟) / installing packages (about a minute the first time)…"
log=.venv/install.log
locks=""
for lock in "$@"; do locks="$locks -r $lock"; done
# shellcheck disable=SC2086 # a list of options
if ! "$python" -m pip install --require-hashes --no-input --disable-pip-version-check --timeout 20 --retries 2 \
    --quiet $locks >"$log" 2>&1; then
    if grep -qiE 'do not match the hashes|hashes are required' "$log"; then
        fail "下载到的软件包与锁定的校验值不一致,没有安装(详见 $log)。" \
            "A downloaded package does not match its locked hash; nothing was installed (see $log)."
    elif grep -qiE 'no space left' "$log"; then
        fail "磁盘空间不足,依赖没有装完。" "The disk is full; the packages are not all installed."
    elif grep -qiE 'connection|resolve|timed out|unreachable|no matching distribution|not find a version|proxy|SSL|HTTP error|[45][0-9][0-9] (client|server) error' "$log"; then
        fail "连不上 Python 软件包仓库,或仓库里没有所需版本:检查网络,或用 PIP_INDEX_URL 指定镜像后重试(详见 $log)。" \
            "The package index is not reachable or lacks a version; check the network or set PIP_INDEX_URL (see $log)."
    fi
    fail "依赖没有装上:$(grep -i error "$log" | tail -n 1)(详见 $log)" \
        "Installing the packages failed: $(grep -i error "$log" | tail -n 1) (see $log)"
fi
printf '%s\n' "$wanted" >"$stamp"
