"""The texts that ask dnf 5, which has no Python library on every host: its own command line, over a copy of its cache.

Lines they print; tables.py reads them:

    tool dnf5
    repo|ID|SECONDS SINCE IT WAS CHECKED|updateinfo or none
    refresh|ok  or  refresh|what went wrong
    row|STATE|NAME|ARCH|FROM|TO|REPO       of the transaction; STATE: up, in, down, re
    removed|NAME|ARCH|VERSION|by what      obsoleted, removed, installonly
    skipped|NAME|ARCH|VERSION|             what dnf leaves out, and why in `said`
    said WORDS                             dnf's own words where something stands in the way
    inst|NAME|ARCH|VERSION                 what is installed of the packages in rows
    file|NAME|ARCH|VERSION|REPO|SIZE|URL   where the files of rows are
    sum|NAME|ARCH|EPOCH:VERSION|SHA256     of files of rows, from the repository's own list
    free NAME|ARCH|VERSION                 newest version on offer; all NAME|...: with excludes and locks put aside
    lock NAME                              of versionlock.toml
    advisory LINE, cve LINE                of `dnf advisory list`, about packages in rows
    E: what went wrong
    end
"""

from __future__ import annotations

from patchctl.platforms.dnf.program import REFRESH_AFTER

LOCKED = r"""sed -n "s/^ *name *= *[\"']\([^\"']*\).*/WORD \1/p" /etc/dnf/versionlock.toml"""
"""Prints `WORD NAME` of each package that dnf 5 locks; NAME may be a pattern."""

# A transaction table (dnf 5 and 4 print the same columns) into row|, removed| and skipped| lines.
TABLE = r"""
pc_table() {
  awk '
    function bare(v) { sub(/^0:/, "", v); return v }
    function flush() { if (name != "") print "row|" state "|" name "|" arch "|" from "|" to "|" repo; name = from = "" }
    /^Transaction Summary/ { flush(); exit }
    /^[A-Z][A-Za-z ]*:$/ { flush(); part = $0; next }
    part == "" { next }
    $1 == "replacing" && NF >= 4 {
      if ($2 == name) { if (from == "" || $3 == arch) from = bare($4) }
      else gone[++goners] = $2 "|" $3 "|" bare($4) "|obsoleted"
      next
    }
    /^ [^ ]/ && NF >= 5 {
      flush()
      if (part ~ /^Skipping/) { print "skipped|" $1 "|" $2 "|" bare($3) "|"; next }
      if (part ~ /^Removing/) { gone[++goners] = $1 "|" $2 "|" bare($3) "|removed"; next }
      state = part ~ /^Upgrading/ ? "up" : part ~ /^Downgrading/ ? "down" : part ~ /^Reinstalling/ ? "re" : "in"
      name = $1; arch = $2; to = bare($3); repo = $4
      if (state == "in") coming[name "|" arch] = 1
    }
    END {
      flush()
      for (i = 1; i <= goners; i++) {  # an older kernel that makes room for a new one is no removal
        split(gone[i], w, "|"); sub(/\|removed$/, (w[1] "|" w[2]) in coming ? "|installonly" : "|removed", gone[i])
        print "removed|" gone[i]
      }
    }'
}
"""

# dnf 5 with a cache, a log and locks of ours; what it says goes to $pc_work/err. $pc_fresh: how it may use the network.
FIVE = rf"""
pc_dnf5() {{
  dnf --setopt=cachedir="$pc_work/cache" --setopt=system_cachedir="$pc_work/cache" --setopt=logdir="$pc_work" \
    --setopt=metadata_timer_sync=0 --setopt='*.skip_if_unavailable=0' "$@" </dev/null 2>"$pc_work/err"
}}
pc_cannot() {{ echo "E: $(tr -s '\n' ' ' <"$pc_work/err" | cut -c 1-300)"; echo end; exit 0; }}
{TABLE}
# refresh, if it is asked for and due, and tell how old everything is
pc_refresh() {{
  pc_dnf5 -q --setopt=cacheonly=all repo list --enabled >"$pc_work/repos" || pc_cannot
  awk 'NR > 1 && NF {{ print $1 }}' "$pc_work/repos" >"$pc_work/ids"
  [ -s "$pc_work/ids" ] || {{ echo 'E: no repository is enabled'; echo end; exit 0; }}
  pc_now=$(date +%s); pc_due=
  [ "$1" != always ] || pc_due=yes
  : >"$pc_work/ages"
  while read -r pc_id; do
    pc_age=-1  # the newer of the two tells when it was last checked
    for pc_file in "$pc_work/cache/$pc_id"-????????????????/repodata/repomd.xml \
      "$pc_work/cache/$pc_id"-????????????????/repodata/*primary.xml*; do
      [ -e "$pc_file" ] || continue
      pc_mine=$((pc_now - $(stat -c %Y "$pc_file")))
      if [ "$pc_age" -lt 0 ] || [ "$pc_mine" -lt "$pc_age" ]; then pc_age=$pc_mine; fi
    done
    if [ "$pc_age" -lt 0 ] || [ "$pc_age" -gt {REFRESH_AFTER} ]; then [ "$1" = never ] || pc_due=yes; fi
    echo "$pc_id $pc_age" >>"$pc_work/ages"
  done <"$pc_work/ids"
  if [ -n "$pc_due" ]; then
    pc_dnf5 -q --refresh makecache >/dev/null || {{
      echo "refresh|$(tr -s '\n|' ' /' <"$pc_work/err" | cut -c 1-300)"; pc_cannot; }}
    echo 'refresh|ok'
  fi
  while read -r pc_id pc_age; do
    pc_info=none
    grep -q -s 'type="updateinfo"' "$pc_work/cache/$pc_id"-????????????????/repodata/repomd.xml && pc_info=updateinfo
    [ -z "$pc_due" ] || pc_age=0
    echo "repo|$pc_id|$pc_age|$pc_info"
  done <"$pc_work/ages"
}}
# the transaction of these words, and all that is known of what it brings
pc_transaction() {{
  LC_ALL=C pc_dnf5 -q --setopt=cacheonly=metadata --assumeno "$@" >"$pc_work/table"; pc_rc=$?
  grep -v -e '^Operation aborted' -e '^$' "$pc_work/err" | head -n 40 | sed 's/^/said /'
  pc_table <"$pc_work/table" >"$pc_work/rows"; cat "$pc_work/rows"
  # It ends with 1 as nobody says yes. Without a table, and not having said that there is nothing to do, it failed.
  if [ ! -s "$pc_work/rows" ] && ! grep -q -s -e 'Nothing to do' "$pc_work/table" "$pc_work/err"; then
    [ "$pc_rc" = 0 ] || pc_cannot
  fi
  awk -F'|' '$1 == "row" || $1 == "skipped" {{ v = $1 == "row" ? $6 : $4; n = $1 == "row" ? $3 : $2
    print n "-" v "." ($1 == "row" ? $4 : $3) }}' "$pc_work/rows" >"$pc_work/nevras"
  awk -F'|' '$1 == "row" {{ print $3 }} $1 == "skipped" {{ print $2 }}' "$pc_work/rows" | sort -u >"$pc_work/names"
}}
pc_details() {{
  for pc_file in names nevras; do  # they become words of a command line
    grep -E '^[A-Za-z0-9_][A-Za-z0-9._+~^:-]*$' "$pc_work/$pc_file" | sort -u >"$pc_work/plain"
    mv "$pc_work/plain" "$pc_work/$pc_file"
  done
  [ -s "$pc_work/nevras" ] || return 0
  rpm -q --qf 'inst|%{{NAME}}|%{{ARCH}}|%|EPOCH?{{%{{EPOCH}}:}}:{{}}|%{{VERSION}}-%{{RELEASE}}\n' -- \
    $(cat "$pc_work/names") 2>/dev/null | grep '^inst|' | sed 's/|0:\([^|]*\)$/|\1/'
  pc_files
  for pc_kind in advisory cve; do
    pc_more=; [ "$pc_kind" = advisory ] || pc_more=--with-cve
    LC_ALL=C pc_dnf5 -q --setopt=cacheonly=all advisory list --all $pc_more >"$pc_work/advisories" || pc_cannot
    awk -v kind="$pc_kind" 'NR == FNR {{ want[$1] = 1; next }}
      {{ for (i = 3; i <= 4 && i <= NF; i++) {{ n = $i; sub(/-[^-]*-[^-]*$/, "", n)
        if (n in want) {{ print kind " " $0; next }} }} }}' "$pc_work/names" "$pc_work/advisories"
  done
  pc_sums
}}
pc_files() {{
  pc_dnf5 -q --setopt=cacheonly=all --setopt='disable_excludes=*' repoquery \
    --qf 'file|%{{name}}|%{{arch}}|%{{evr}}|%{{repoid}}|%{{downloadsize}}|%{{location}}\n' -- \
    $(cat "$pc_work/nevras") || pc_cannot
}}
# The hashes are in the list of the repository, whatever it is packed with. `<` ends a record: any layout will do.
pc_sums() {{
  for pc_file in "$pc_work"/cache/*/repodata/*primary.xml*; do
    [ -e "$pc_file" ] || continue
    pc_unpack=cat
    case $pc_file in
      *.gz) pc_unpack=gzip ;; *.zst) pc_unpack=zstd ;; *.xz) pc_unpack=xz ;; *.bz2) pc_unpack=bzip2 ;;
    esac
    command -v "$pc_unpack" >/dev/null || {{
      echo "said hashes are not known: this host has no $pc_unpack to read ${{pc_file##*/}}"; continue; }}
    if [ "$pc_unpack" = cat ]; then cat "$pc_file"; else "$pc_unpack" -dc "$pc_file"; fi | awk '
      function value(key, at) {{ at = index($0, key "=\""); if (!at) return ""
        at = substr($0, at + length(key) + 2); return substr(at, 1, index(at, "\"") - 1) }}
      NR == FNR {{ want[$1] = 1; next }}
      /^name>/ {{ name = substr($0, 6); sub(/[ \n]+$/, "", name); sum = "" }}
      /^arch>/ {{ arch = substr($0, 6); sub(/[ \n]+$/, "", arch) }}
      /^version / {{ evr = value("epoch") ":" value("ver") "-" value("rel") }}
      /^checksum / && value("type") == "sha256" {{ sum = substr($0, index($0, ">") + 1); sub(/[ \n]+$/, "", sum) }}
      /^\/package>/ && (name in want) && sum != "" {{ print "sum|" name "|" arch "|" evr "|" sum }}
    ' "$pc_work/names" RS='<' -
  done
}}
"""


def pending_text(refresh: str) -> str:
    """Return the text that tells what dnf 5 would do on `upgrade`. refresh: auto | never | always."""
    query = "repoquery --upgrades --latest-limit=1 --qf"
    return rf"""{FIVE}
echo 'tool dnf5'
pc_refresh {refresh}
pc_transaction upgrade
pc_dnf5 -q --setopt=cacheonly=all {query} 'free %{{name}}|%{{arch}}|%{{evr}}\n' >"$pc_work/free" || pc_cannot
pc_dnf5 -q --setopt=cacheonly=all --setopt='disable_excludes=*' {query} 'all %{{name}}|%{{arch}}|%{{evr}}\n' \
  >"$pc_work/all" || pc_cannot
cat "$pc_work/free" "$pc_work/all"
sed -e 's/^[a-z]* //' "$pc_work/free" "$pc_work/all" | sort -u | awk -F'|' '
  {{ print $1 >> names; print $1 "-" $3 "." $2 >> nevras }}' names="$pc_work/names" nevras="$pc_work/nevras"
[ ! -r /etc/dnf/versionlock.toml ] || {LOCKED.replace("WORD", "lock")}
pc_details
echo end
"""


def earlier_text(names: str, words: str, refresh: str) -> str:
    """Return the text that tells where these versions can be had. names, words: quoted names and NEVRAs."""
    return (
        f"{FIVE}\necho 'tool dnf5'\npc_refresh {refresh}\nprintf '%s\\n' {names} >\"$pc_work/names\"\n"
        f"printf '%s\\n' {words} >\"$pc_work/nevras\"\npc_files\npc_sums\necho end\n"
    )


def resolve_text(words: str, refresh: str) -> str:
    """Return the text that tells what dnf 5 would do to install just these (quoted words)."""
    return f"{FIVE}\necho 'tool dnf5'\npc_refresh {refresh}\npc_transaction install {words}\npc_details\necho end\n"


FETCH = r"""
pc_fetch5() {  # DIRECTORY, then SHA256 FILE NEVRA of each: with the sources of the host itself
  ( pc_refresh auto )
  pc_into=$1; shift; mkdir -p "$pc_work/fetched"
  pc_words=; pc_count=0
  for pc_word; do pc_count=$((pc_count + 1)); [ $((pc_count % 3)) != 0 ] || pc_words="$pc_words $pc_word"; done
  pc_dnf5 -q --setopt=cacheonly=metadata download --destdir="$pc_work/fetched" $pc_words >/dev/null ||
    for pc_word in $pc_words; do  # one that is not to be had stops them all
      pc_dnf5 -q --setopt=cacheonly=metadata download --destdir="$pc_work/fetched" "$pc_word" >/dev/null ||
        echo "E: $(tr -s '\n' ' ' <"$pc_work/err" | cut -c 1-200)"
    done
  sha256sum "$pc_work"/fetched/*.rpm 2>/dev/null >"$pc_work/sums"
  while [ $# -ge 3 ]; do
    pc_file=$(sed -n "s/^$1  //p" "$pc_work/sums" | head -n 1)
    [ -z "$pc_file" ] || { cp "$pc_file" "$pc_into/$2.part" && mv "$pc_into/$2.part" "$pc_into/$2"; }
    shift 3
  done
}
"""
