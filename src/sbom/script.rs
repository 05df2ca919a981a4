//! The program that looks around in an image, and how its answer is read [pure].
//!
//! It is POSIX shell with what every distribution of Linux has, and starts few processes: an image is looked through once. What
//! files of the image hold stands between lines that begin with a word which nobody can know beforehand, so that no file can
//! pass for another's. Volumes of the image are looked through too: nothing else is mounted there. The list of a Go program's
//! modules stands between marks of Go's own; elsewhere the same words may be text.

use super::collected::Collected;

/// Where it writes its answer to: the root directory is the one that every image has.
pub(super) const ANSWER: &str = "/.kolla-build-inventory";

/// The program; its arguments are the word and the file of the answer.
pub(super) const SCRIPT: &str = r#"LC_ALL=C; export LC_ALL; mark=$1; exec >"$2"
say() { printf '%s %s\n' "$mark" "$*"; }
for f in /etc/os-release /usr/lib/os-release; do
    [ ! -r "$f" ] || { say os-release "$f"; cat "$f"; echo; break; }
done
for f in /var/lib/dpkg/status /var/lib/dpkg/status.d/*; do
    [ ! -f "$f" ] || { say dpkg "$f"; cat "$f"; echo; }
done
if command -v rpm >/dev/null 2>&1; then
    say rpm database
    rpm -qa --qf '%{NAME}\t%{EPOCHNUM}\t%{VERSION}-%{RELEASE}\t%{ARCH}\t%{LICENSE}\t%{SOURCERPM}\n' || say failed rpm
fi
find / \( -path /proc -o -path /sys -o -path /dev \) -prune -o -type f \( \
    \( -path '*.dist-info/METADATA' -o -path '*.egg-info/PKG-INFO' -o -name '*.egg-info' \) \
        \( -size 0 -exec sh -c 'm=$1; shift; for f; do printf "%s python %s\n" "$m" "$f"; done' sh "$mark" {} + -o \
        -exec awk -v m="$mark" 'FNR == 1 { print m " python " FILENAME; h = 1 } /^\r?$/ { h = 0 } h' {} + \) \
    -o -path '*/node_modules/*/package.json' \
        -exec awk -v m="$mark" 'FNR == 1 { print m " npm " FILENAME } { print }' {} + \
    -o -perm -100 -size +1000k -exec sh -c 'm=$1; shift
        begin=$(printf "0w\257\014\222t\010\002A\341\301\007\346\326\030\346")
        end=$(printf "\3712C1\206\030 r")
        for f; do
            grep -qaF "Go buildinf:" "$f" || continue
            printf "%s go %s\n" "$m" "$f"
            grep -aoE "Go buildinf:.{1,64}" "$f" | grep -aoE "go1[.][0-9]+([.][0-9]+)?" | head -n 1
            grep -aF -m 1 -A 100000 -e "$begin" "$f" | sed "/$end/q" | grep -aoE "^(mod|dep|=>)	[^	]+	[^	]*"
        done' sh "$mark" {} + \
\) || say failed find
say end of it
"#;

/// Reads an answer; none when the program did not come to its end.
pub(super) fn read(answer: &[u8], mark: &str) -> Option<Vec<Collected>> {
    let text = String::from_utf8_lossy(answer);
    let mut collected = Vec::new();
    let mut current: Option<(&str, &str, String)> = None;
    let mut ended = false;
    for line in text.split('\n') {
        let heading = line.strip_prefix(mark).and_then(|rest| rest.strip_prefix(' ')?.split_once(' '));
        match (heading, &mut current) {
            (Some((kind, name)), _) => {
                ended = kind == "end";
                let before = current.replace((kind, name, String::new()));
                collected.extend(before.and_then(|(kind, name, text)| Collected::of(kind, name, text)));
            }
            (None, Some((_, _, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    ended.then_some(collected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_files_hold_is_read_between_lines_that_none_of_them_knows() {
        let answer = b"M dpkg /var/lib/dpkg/status\nPackage: a\n\nN dpkg x\n M dpkg y\n\
            M python /p/A.dist-info/METADATA\nName: A\nM failed find\nM end of it\n";
        let read = read(answer, "M").expect("it came to its end");
        assert_eq!(
            read,
            [
                Collected::Dpkg("Package: a\n\nN dpkg x\n M dpkg y\n".to_string()),
                Collected::Python {
                    path: "/p/A.dist-info/METADATA".to_string(),
                    headers: "Name: A\n".to_string()
                },
                Collected::Failed("find".to_string()),
            ]
        );
    }

    #[test]
    fn one_that_breaks_off_is_none() {
        assert_eq!(read(b"M dpkg /x\nPackage: a\n", "M"), None);
        assert_eq!(read(b"", "M"), None);
        assert_eq!(read(b"M end of it\n", "M"), Some(Vec::new()));
    }
}
