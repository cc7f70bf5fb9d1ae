//! From objects to the terminal: a table, or JSON, once or again and again.

use std::collections::HashMap;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::{Map, Value};
use shm::ProcessId;

use crate::failure::Failure;
use crate::rates::{Count, Rates};
use crate::table::{Column, Table};

/// An object of a listing. Its `Serialize` is its JSON form, whose keys are stable.
pub(crate) trait Show: Serialize {
    /// The table's columns.
    const COLUMNS: &'static [Column];
    /// What `--watch` adds to them.
    const RATE_COLUMNS: &'static [Column] = &[];

    /// Adds its line, or lines, to the table; the cells of the rate columns only when there are rates.
    fn lines(&self, table: &mut Table, rates: Option<&Rates>);

    /// What tells it from the other objects of the listing, where it has counters.
    fn key(&self) -> String {
        String::new()
    }

    /// The counters that rates are taken of.
    fn counts(&self) -> Vec<Count> {
        Vec::new()
    }

    /// What to say below the table.
    fn note(&self) -> Option<String> {
        None
    }
}

/// One look at a listing.
pub(crate) struct Reading<T> {
    pub(crate) objects: Vec<T>,
    /// Whose counters they are: those of another process count from zero again.
    pub(crate) writer: Option<ProcessId>,
}

impl<T> From<Vec<T>> for Reading<T> {
    fn from(objects: Vec<T>) -> Self {
        Self {
            objects,
            writer: None,
        }
    }
}

/// Shows what `read` gives, once, or every `watch` until somebody ends it.
pub(crate) fn show<T: Show>(
    json: bool,
    watch: Option<Duration>,
    mut read: impl FnMut() -> Result<Reading<T>, Failure>,
) -> Result<(), Failure> {
    let stdout = io::stdout();
    let clears = stdout.is_terminal() && !json;
    let mut out = BufWriter::with_capacity(64 * 1024, stdout.lock());
    let Some(interval) = watch else {
        let objects = read()?.objects;
        if json {
            write_json(&mut out, &objects)?
        } else {
            write_table(&mut out, &objects, None)?
        }
        return Ok(out.flush()?);
    };
    let mut next = Instant::now();
    let mut earlier: Option<Look> = None;
    loop {
        let taken = Instant::now();
        let reading = read()?;
        let counts = reading
            .objects
            .iter()
            .map(|object| (object.key(), object.counts()))
            .collect();
        let look = Look {
            taken,
            writer: reading.writer,
            counts,
        };
        let rates: Vec<_> = reading
            .objects
            .iter()
            .map(|object| look.rates(&object.key(), earlier.as_ref()))
            .collect();
        if json {
            write_json_line(&mut out, &reading.objects, &rates)?;
        } else if clears {
            // Home, then erase: the screen does not flicker as it would the other way round.
            write!(out, "\x1b[H\x1b[2J")?;
            write_table(&mut out, &reading.objects, Some(&rates))?;
        } else {
            if earlier.is_some() {
                writeln!(out)?;
            }
            write_table(&mut out, &reading.objects, Some(&rates))?;
        }
        out.flush()?;
        earlier = Some(look);
        next = (next + interval).max(Instant::now());
        thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// What is kept of one look for the next.
pub(crate) struct Look {
    taken: Instant,
    writer: Option<ProcessId>,
    counts: HashMap<String, Vec<Count>>,
}

impl Look {
    /// A look just taken at counters by the keys of their objects, all of the same primary.
    pub(crate) fn now(counts: HashMap<String, Vec<Count>>) -> Self {
        Self {
            taken: Instant::now(),
            writer: None,
            counts,
        }
    }

    /// The rates of an object since an earlier look.
    pub(crate) fn rates(&self, key: &str, earlier: Option<&Look>) -> Rates {
        let before = earlier
            .filter(|earlier| earlier.writer == self.writer)
            .and_then(|earlier| {
                Some((
                    earlier.counts.get(key)?.as_slice(),
                    self.taken.duration_since(earlier.taken),
                ))
            });
        Rates::between(self.counts.get(key).cloned().unwrap_or_default(), before)
    }
}

/// A list with an object per line, written as it goes.
pub(crate) fn write_json<T: Serialize>(out: &mut impl Write, objects: &[T]) -> Result<(), Failure> {
    write!(out, "[")?;
    for (index, object) in objects.iter().enumerate() {
        write!(out, "{}", if index == 0 { "\n" } else { ",\n" })?;
        serde_json::to_writer(&mut *out, object)?;
    }
    Ok(writeln!(out, "{}]", if objects.is_empty() { "" } else { "\n" })?)
}

/// The whole list in one line, so that who reads along can go by lines.
fn write_json_line<T: Serialize>(
    out: &mut impl Write,
    objects: &[T],
    rates: &[Rates],
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct WithRates<'a, T> {
        #[serde(flatten)]
        object: &'a T,
        #[serde(flatten)]
        rates: Map<String, Value>,
    }
    let objects = objects.iter().zip(rates).map(|(object, rates)| WithRates {
        object,
        rates: rates.to_json(),
    });
    serde_json::to_writer(&mut *out, &objects.collect::<Vec<_>>())?;
    Ok(writeln!(out)?)
}

fn write_table<T: Show>(out: &mut impl Write, objects: &[T], rates: Option<&[Rates]>) -> io::Result<()> {
    let mut columns = T::COLUMNS.to_vec();
    if rates.is_some() {
        columns.extend(T::RATE_COLUMNS);
    }
    let mut table = Table::new(columns);
    for (index, object) in objects.iter().enumerate() {
        object.lines(&mut table, rates.and_then(|rates| rates.get(index)));
    }
    table.write(out)?;
    for note in objects.iter().filter_map(Show::note) {
        writeln!(out, "\n{note}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{left, right};

    #[derive(Serialize)]
    struct Port {
        name: &'static str,
        rx: u64,
    }

    impl Show for Port {
        const COLUMNS: &'static [Column] = &[left("NAME"), right("RX")];
        const RATE_COLUMNS: &'static [Column] = &[right("RX/S")];

        fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
            table.cell(self.name).cell(self.rx);
            if let Some(rates) = rates {
                table.optional(rates.of("rx"));
            }
        }

        fn counts(&self) -> Vec<Count> {
            vec![Count::new("rx", self.rx)]
        }

        fn note(&self) -> Option<String> {
            (self.rx > 100).then(|| format!("{} is busy", self.name))
        }
    }

    const PORTS: [Port; 2] = [Port { name: "wan", rx: 7 }, Port { name: "lan", rx: 700 }];

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn rates() -> Vec<Rates> {
        let before = [Count::new("rx", 5)];
        let elapsed = Duration::from_secs(2);
        PORTS
            .iter()
            .map(|port| Rates::between(port.counts(), Some((&before, elapsed))))
            .collect()
    }

    #[test]
    fn json_is_a_list_of_objects() {
        let json = text(|out| write_json(out, &PORTS).unwrap());
        assert_eq!(
            json,
            "[\n{\"name\":\"wan\",\"rx\":7},\n{\"name\":\"lan\",\"rx\":700}\n]\n"
        );
        assert_eq!(text(|out| write_json::<Port>(out, &[]).unwrap()), "[]\n");
    }

    #[test]
    fn rates_are_extra_keys_and_columns() {
        let json = text(|out| write_json_line(out, &PORTS, &rates()).unwrap());
        let expected =
            r#"[{"name":"wan","rx":7,"rx_per_second":1.0},{"name":"lan","rx":700,"rx_per_second":347.5}]"#;
        assert_eq!(json.trim_end(), expected);
        let table = text(|out| write_table(out, &PORTS, Some(&rates())).unwrap());
        assert_eq!(
            table,
            "NAME   RX   RX/S\nwan     7      1\nlan   700  347.5\n\nlan is busy\n"
        );
    }

    #[test]
    fn counters_of_another_primary_give_no_rate() {
        let now = Instant::now();
        let look = |pid, after, value| Look {
            taken: now + Duration::from_secs(after),
            writer: Some(ProcessId { pid, start_time: 1 }),
            counts: HashMap::from([("wan".to_owned(), vec![Count::new("rx", value)])]),
        };
        let earlier = look(1, 0, 10);
        assert_eq!(look(1, 1, 30).rates("wan", Some(&earlier)).of("rx"), Some(20.0));
        assert_eq!(look(2, 1, 30).rates("wan", Some(&earlier)).of("rx"), None);
        assert_eq!(look(1, 1, 30).rates("lan", Some(&earlier)).of("rx"), None);
    }
}
