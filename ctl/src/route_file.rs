//! Files with many routes, a line each as on the command line or as `ip route show` prints them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use control::message::{ErrorCode, Route};

use crate::failure::Failure;
use crate::prefix::Family;
use crate::route_words::{FORM, Meaning, Reader};

/// The routes of a file.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) routes: Vec<Route>,
    /// In which line each route begins.
    pub(crate) lines: Vec<u32>,
    /// Routes that cannot apply here.
    pub(crate) ignored: usize,
    /// What could not be understood, each with its place.
    pub(crate) faults: Vec<String>,
}

/// A word and where it stands, from 1.
struct Word {
    text: String,
    line: usize,
    column: usize,
}

/// Reads a file; `-` is stdin.
pub(crate) fn read(
    path: &Path,
    family: Option<Family>,
    interface: &dyn Fn(&str) -> Option<String>,
) -> Result<Contents, Failure> {
    let (name, lines): (_, Box<dyn BufRead>) = if path == Path::new("-") {
        ("stdin".to_owned(), Box::new(io::stdin().lock()))
    } else {
        let unreadable = |error| {
            let code = match io::Error::kind(&error) {
                io::ErrorKind::PermissionDenied => ErrorCode::PermissionDenied,
                io::ErrorKind::NotFound => ErrorCode::NotFound,
                _ => ErrorCode::Failed,
            };
            Failure::refused(code, format!("cannot read {}: {error}", path.display()))
        };
        (
            path.display().to_string(),
            Box::new(BufReader::new(File::open(path).map_err(unreadable)?)),
        )
    };
    parse(&name, lines, family, interface)
}

/// The routes in the lines of `name`. A line that begins with `nexthop` goes on with the route before it.
pub(crate) fn parse(
    name: &str,
    lines: impl BufRead,
    family: Option<Family>,
    interface: &dyn Fn(&str) -> Option<String>,
) -> Result<Contents, Failure> {
    let reader = Reader {
        family,
        printed: true,
        interface,
    };
    let mut contents = Contents::default();
    let mut pending: Vec<Word> = Vec::new();
    for (line, text) in (1..).zip(lines.lines()) {
        let text = text.map_err(|error| {
            Failure::refused(ErrorCode::Failed, format!("cannot read {name}:{line}: {error}"))
        })?;
        let words = words(line, &text);
        if words.first().is_some_and(|word| word.text != "nexthop") {
            contents.take(name, &reader, &pending);
            pending.clear();
        }
        pending.extend(words);
    }
    contents.take(name, &reader, &pending);
    Ok(contents)
}

/// The words of a line before its comment.
fn words(line: usize, text: &str) -> Vec<Word> {
    let content = text.split_once('#').map_or(text, |(content, _)| content);
    let mut words = Vec::new();
    let mut column = 0;
    for part in content.split(char::is_whitespace) {
        // `ip -oneline` puts a backslash where lines end otherwise.
        let bare = part.trim_start_matches('\\');
        if !bare.is_empty() {
            words.push(Word {
                text: bare.to_owned(),
                line,
                column: column + part.chars().count() - bare.chars().count() + 1,
            });
        }
        column += part.chars().count() + 1;
    }
    words
}

impl Contents {
    /// Takes the words of one route, if there are any.
    fn take(&mut self, name: &str, reader: &Reader<'_>, words: &[Word]) {
        let (Some(first), Some(last)) = (words.first(), words.last()) else {
            return;
        };
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        match reader.read(&texts) {
            Ok(Meaning::Route(route)) => {
                self.routes.push(route);
                self.lines.push(u32::try_from(first.line).unwrap_or(u32::MAX));
            }
            Ok(Meaning::Ignored) => self.ignored += 1,
            Err(fault) => {
                let (line, column) = words.get(fault.word).map_or_else(
                    || (last.line, last.column + last.text.chars().count()),
                    |word| (word.line, word.column),
                );
                self.faults
                    .push(format!("{name}:{line}:{column}: {}", fault.message));
            }
        }
    }

    /// Fails when something was not understood.
    pub(crate) fn whole(self) -> Result<Self, Failure> {
        let Some(first) = self.faults.first() else {
            return Ok(self);
        };
        let more = match self.faults.len() - 1 {
            0 => String::new(),
            more => format!("; there is something wrong with {more} more"),
        };
        let sentence = format!("{first}: write {FORM}{more}; no route was added");
        Err(Failure::refused(ErrorCode::Invalid, sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Contents {
        parse("routes.txt", text.as_bytes(), None, &|name| Some(name.to_owned())).unwrap()
    }

    fn prefixes(contents: &Contents) -> Vec<String> {
        let routes = contents.routes.iter();
        routes.map(|route| route.prefix.to_string()).collect()
    }

    #[test]
    fn a_file_has_a_route_per_line_and_comments() {
        let text = "# ours\n10.1.0.0/16 blackhole\n\n  default via 192.168.10.2  # out\ndefault via fe80::2 dev wan\n";
        let contents = read_text(text);
        assert_eq!(prefixes(&contents), ["10.1.0.0/16", "0.0.0.0/0", "::/0"]);
        assert_eq!(contents.lines, [2, 4, 5]);
    }

    #[test]
    fn next_hops_on_lines_of_their_own_belong_to_the_route_before() {
        for text in [
            "default proto static metric 20 \n\tnexthop via 10.0.0.2 dev wan weight 1 \n\tnexthop via 10.0.0.3 dev wan weight 2 \n\
             10.9.0.0/16 via 10.0.0.2 dev wan \n",
            "default proto static metric 20 \\\tnexthop via 10.0.0.2 dev wan weight 1 \\\tnexthop via 10.0.0.3 dev wan weight 2 \n\
             10.9.0.0/16 via 10.0.0.2 dev wan \n",
        ] {
            let contents = read_text(text);
            assert_eq!(contents.faults, [""; 0]);
            assert_eq!(prefixes(&contents), ["0.0.0.0/0", "10.9.0.0/16"]);
            assert_eq!(contents.routes[0].size(), 3);
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_line_and_column_and_the_rest_is_read() {
        let contents = read_text(
            "10.1.0.0/16 blackhole\n\n  10.2.0.0/16 vai 192.168.10.2\n10.3.0.0/16 dev\n10.4.0.0/16 dev wan\n",
        );
        assert_eq!(prefixes(&contents), ["10.1.0.0/16", "10.4.0.0/16"]);
        assert!(
            contents.faults[0].starts_with("routes.txt:3:15: 'vai' stands where"),
            "{:?}",
            contents.faults
        );
        assert!(
            contents.faults[1].starts_with("routes.txt:4:16: the interface"),
            "{:?}",
            contents.faults
        );
        let message = contents.whole().unwrap_err().to_string();
        assert!(
            message.ends_with("wrong with 1 more; no route was added"),
            "{message}"
        );
    }

    #[test]
    fn routes_of_the_gateway_itself_are_counted_and_left_out() {
        let contents =
            read_text("10.0.0.0/24 dev wan proto kernel scope link src 10.0.0.1\n10.9.0.0/16 via 10.0.0.2\n");
        assert_eq!(
            (prefixes(&contents), contents.ignored),
            (vec!["10.9.0.0/16".to_owned()], 1)
        );
    }
}
