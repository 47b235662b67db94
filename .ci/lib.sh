# shellcheck shell=bash
# What .ci/run and .ci/full share: finding Pythons, copying the checkout, the jobs, the report.
#
# A script sources this file, queues its jobs with `add`, and calls `run_jobs`. Each job works on
# its own copy of the checkout. Two jobs run at a time, in the order in which they were added.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$(mktemp -d)
mkdir "$work/tmp"
names=()    # of the jobs
queue=      # one line for each job: function name python chroot
left_out=() # what does not run, and why
failed=0    # 1 after a job has failed
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export CI=true PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_QUIET=1 TMPDIR="$work/tmp"
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

# Ends the jobs that still run, shows how far they got, and removes all copies.
clean_up() {
    local name pid folder
    for pid in $(jobs -p); do
        kill -- "-$pid" 2>/dev/null || true
    done
    for name in ${names[@]+"${names[@]}"}; do
        if [ -e "$work/$name.log" ] && [ ! -s "$work/$name.result" ]; then
            printf '\n===== %s, interrupted\n' "$name"
            tail -n 50 "$work/$name.log"
        fi
    done
    if [ -e "$work/in_chroot" ]; then
        while IFS= read -r folder; do rm -rf "$folder"; done <"$work/in_chroot"
    fi
    rm -rf "$work"
}

# --- Pythons

# Prints the path of a Python of this version ("3.12") that can make a virtual environment.
# A chroot, the second argument, is searched instead of this machine if it is given.
find_python() {
    local version=$1 chroot=${2:-} candidate
    local probe='import sys, ensurepip, venv
if "%d.%d" % sys.version_info[:2] != sys.argv[1]: sys.exit(1)
print(sys.executable)'
    if [ -n "$chroot" ]; then
        chroot "$chroot" "python$version" -c "$probe" "$version" 2>/dev/null
        return
    fi
    for candidate in "python$version" python3 \
        "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$version".*/bin/python3; do
        "$candidate" -c "$probe" "$version" 2>/dev/null && return
    done
    return 1
}

leave_out() {
    echo "left out: $1"
    left_out+=("$1")
}

# --- Copies of the checkout

# Copies what git tracks, and new files that it does not ignore.
copy_to() {
    mkdir -p "$1"
    (
        cd "$root"
        git -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do
                if [ -e "$file" ]; then printf '%s\0' "$file"; fi
            done |
            tar --null -T - -cf - | tar -C "$1" -xf -
    )
}

# Makes an environment in a new copy of the checkout, and installs what the other arguments name.
# The job goes on in that copy.
environment() {
    local name=$1 python=$2
    shift 2
    copy_to "$work/$name"
    cd "$work/$name"
    set -x
    "$python" -m venv .venv
    .venv/bin/pip install "$@"
}

# Runs the tests against the installed package: the checkout itself is not on the path.
run_tests() {
    PYTHONSAFEPATH=1 .venv/bin/pytest "$@"
}

# --- Jobs: each is called with a name, a Python, and the chroot of that Python or nothing

# The README's two commands, exactly as the README has them.
readme() {
    commands_of_readme "$@" 'failover-iter demo' pytest
}

# The second of them alone: it runs the whole suite, with ten examples of each law.
suite() {
    FAILOVER_ITER_EXAMPLES=10 commands_of_readme "$@" pytest
}

commands_of_readme() {
    local name=$1 python=$2 chroot=$3 folder inside ending command
    shift 3
    if [ -z "$chroot" ]; then
        folder=$work/$name inside=$folder
        mkdir "$folder"
    else
        folder=$(mktemp -d "$chroot/tmp/failover-iter.XXXXXX") inside=${folder#"$chroot"}
        echo "$folder" >>"$work/in_chroot"
    fi
    copy_to "$folder/checkout"
    mkdir "$folder/bin" "$folder/tmp"
    printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$folder/bin/python3"
    chmod +x "$folder/bin/python3"
    for ending in "$@"; do
        # The only line of the README that makes a virtual environment and ends like this.
        command=$(grep "^python3 -m venv .*$ending\$" "$root/README.md")
        echo "+ $command"
        # shellcheck disable=SC2016 # the inner shell expands it
        ${chroot:+chroot "$chroot"} bash -c \
            'cd "$1/checkout" && PATH="$1/bin:$PATH" TMPDIR="$1/tmp" exec bash -c "$2"' \
            bash "$inside" "$command"
    done
}

# The linter, the formatter, the type checkers and the site.
static() {
    environment "$1" "$2" '.[dev,site]'
    # All of them run even if the first fails, so that one round shows everything.
    local failed=0
    .venv/bin/ruff check . || failed=1
    # Nothing nests deeper than five. The rule is in preview, so it is asked for by its name.
    .venv/bin/ruff check --preview --select PLR1702 . || failed=1
    .venv/bin/ruff format --check . || failed=1
    .venv/bin/mypy || failed=1
    .venv/bin/pyright --pythonpath .venv/bin/python || failed=1
    NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --quiet --strict || failed=1
    return "$failed"
}

# The sdist and the wheel, as they are published.
package() {
    environment "$1" "$2" '.[release]'
    bash .ci/package dist .venv/bin/python
}

# The suite on the built wheel, with the SDKs and with the packages that the docs use: coverage has
# to be 100 %. Ten examples of each law are enough for that.
coverage() {
    environment "$1" "$2" '.[dev,test-docs]'
    export FAILOVER_ITER_TEST_DOCS=1 # a missing package is an error
    local failed=0
    export PYTHONSAFEPATH=1
    FAILOVER_ITER_EXAMPLES=10 .venv/bin/coverage run -m pytest || failed=1
    .venv/bin/coverage report || failed=1
    return "$failed"
}

# Tests of the tests, and many random plans.
slow() {
    environment "$1" "$2" '.[test,peers]'
    run_tests -m slow -o faulthandler_timeout=1800 # a test of 20,000 plans is slow, and not stuck
}

# Sources on a Ray cluster of two nodes, in a network without a way out.
ray() {
    environment "$1" "$2" '.[test-ray]'
    export RAY_TMPDIR=$TMPDIR # or it would leave its logs in /tmp/ray
    # shellcheck disable=SC2016 # the inner shell expands it
    unshare --net sh -c 'ip link set lo up && exec "$@"' sh \
        env PYTHONSAFEPATH=1 .venv/bin/pytest -m 'slow or not slow' \
        tests/cluster tests/test_docs.py tests/test_examples.py -k 'cluster or ray or shards'
}

# Whether pip finds Ray for a Python.
has_ray() {
    local found=1
    if "$1" -m venv "$work/probe" >/dev/null 2>&1 &&
        "$work/probe/bin/pip" install --dry-run --no-deps ray >/dev/null 2>&1; then found=0; fi
    rm -rf "$work/probe"
    return "$found"
}

# The newest versions of the SDKs, all in one environment.
sdks_newest() {
    environment "$1" "$2" '.[test-llm,litellm]'
    run_tests tests/llm
}

# The oldest versions that the extras allow. litellm needs newer ones of the others.
sdks_oldest() {
    local pins
    pins=$(oldest_sdks "$2" openai anthropic gemini mistral cohere ollama groq bedrock)
    # shellcheck disable=SC2086 # one word for each pin
    environment "$1" "$2" '.[test-llm]' $pins
    run_tests tests/llm
}

litellm_oldest() {
    local pins
    pins=$(oldest_sdks "$2" litellm)
    environment "$1" "$2" '.[test-llm,litellm]' "$pins"
    run_tests tests/llm -k litellm
}

# Other libraries on the same faults.
llm_peers() {
    environment "$1" "$2" '.[test,llm-peers]'
    run_tests tests/llm/test_peers.py tests/test_comparison.py
}

# Prints the requirements of these extras, with == for >=.
oldest_sdks() {
    local python=$1
    shift
    "$python" - "$root/pyproject.toml" "$@" <<'PYTHON'
import sys, tomllib
with open(sys.argv[1], "rb") as file:
    extras = tomllib.load(file)["project"]["optional-dependencies"]
print(*[need.replace(">=", "==") for extra in sys.argv[2:] for need in extras[extra]])
PYTHON
}

# --- Running the jobs

# Queues a job: a function of above, a name, a Python, and its chroot if it is in one.
add() {
    names+=("$2")
    queue+="$1 $2 $3 ${4:-}"$'\n'
}

# Runs the jobs that no other worker has started.
worker() {
    local function name python chroot
    trap - EXIT INT TERM
    set +m
    while read -r function name python chroot; do
        mkdir "$work/$name.started" 2>/dev/null || continue
        say echo "$name: started"
        SECONDS=0
        # In the background, because errexit is off in a condition.
        (
            trap - EXIT INT TERM
            set -e
            "$function" "$name" "$python" "$chroot"
        ) >"$work/$name.log" 2>&1 </dev/null &
        if wait $!; then echo ok; else echo FAILED; fi >"$work/$name.done"
        echo "$SECONDS" >"$work/$name.seconds"
        mv "$work/$name.done" "$work/$name.result"
        say announce "$name"
    done
}

# Runs a command that prints, while no other worker prints.
say() {
    until mkdir "$work/printing" 2>/dev/null; do sleep 0.1; done
    "$@" || true
    rmdir "$work/printing"
}

# A log of a failure is shown at once, the others at the end.
announce() {
    local result
    result=$(cat "$work/$1.result")
    if [ "$result" != ok ]; then show_log "$1"; fi
    echo "$1: $result after $(cat "$work/$1.seconds") s"
}

show_log() {
    printf '\n===== %s\n' "$1"
    cat "$work/$1.log"
}

# Runs all jobs, two at a time, and reports; sets `failed` to 1 if one failed. Never call it in a
# condition (`run_jobs || ...`): bash would turn errexit off in the jobs too.
run_jobs() {
    local name
    set -m # each worker gets a process group, so that `clean_up` can end it with its children
    worker <<<"${queue%$'\n'}" &
    worker <<<"${queue%$'\n'}" &
    set +m
    wait

    for name in "${names[@]}"; do
        if [ "$(cat "$work/$name.result")" = ok ]; then show_log "$name"; fi
    done
    printf '\n'
    for name in "${names[@]}"; do
        [ "$(cat "$work/$name.result")" = ok ] || failed=1
        echo "$name: $(cat "$work/$name.result"): $(tests_of "$name")"
    done
}

# The last line of each run of pytest, joined.
tests_of() {
    local lines
    lines=$(grep -E '^=+ .*(passed|failed|error).* in [0-9.]+s' "$work/$1.log" || true)
    if [ -n "$lines" ]; then paste -s -d ' ' - <<<"$lines"; else echo "no tests"; fi
}

# A table of all jobs, and what was left out.
show_table() {
    local name line
    printf '\n%-16s %-7s %8s   %s\n' job result seconds tests
    for name in "${names[@]}"; do
        line=$(tests_of "$name" | tr -s '= ' ' ')
        printf '%-16s %-7s %8d   %s\n' "$name" "$(cat "$work/$name.result")" \
            "$(cat "$work/$name.seconds")" "${line# }"
    done
    for line in ${left_out[@]+"${left_out[@]}"}; do
        echo "left out: $line"
    done
}
