//! `service icmp-counters`: what workers count of ICMP messages for services and local addresses.

use serde::{Serialize, Serializer, ser::SerializeMap};
use shm::{CounterView, IcmpCounter};

use crate::failure::Failure;
use crate::present::Show;
use crate::rates::{Count, Rates};
use crate::session::Session;
use crate::table::{Column, Table, left, right};

/// Those of one worker, or of all together.
struct Counted {
    /// None: all of them.
    worker: Option<u32>,
    counters: Vec<(IcmpCounter, u64)>,
}

pub(super) fn run(session: &Session) -> Result<(), Failure> {
    session.show(|| {
        let tables = session.tables()?;
        let counters = tables.reader.counters();
        let workers = tables.reader.workers();
        let each = workers.iter().map(|(index, _)| Counted::of(*index, &counters));
        Ok(tables.reading(with_sum(each.collect())))
    })
}

/// All together, then each.
fn with_sum(workers: Vec<Counted>) -> Vec<Counted> {
    let mut sums: Vec<_> = IcmpCounter::ALL.iter().map(|counter| (*counter, 0)).collect();
    for worker in &workers {
        for ((_, sum), (_, packets)) in sums.iter_mut().zip(&worker.counters) {
            *sum += packets;
        }
    }
    let all = Counted {
        worker: None,
        counters: sums,
    };
    std::iter::once(all).chain(workers).collect()
}

impl Counted {
    fn of(worker: u32, view: &CounterView<'_>) -> Self {
        let counters = IcmpCounter::ALL.iter();
        Self {
            worker: Some(worker),
            counters: counters
                .map(|counter| (*counter, view.icmp(worker as usize, *counter)))
                .collect(),
        }
    }
}

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("worker", &self.worker)?;
        for (counter, packets) in &self.counters {
            object.serialize_entry(counter.name(), packets)?;
        }
        object.end()
    }
}

impl Show for Counted {
    const COLUMNS: &'static [Column] = &[left("WORKER"), left("COUNTER"), right("PACKETS")];
    const RATE_COLUMNS: &'static [Column] = &[right("PACKETS/S")];

    fn lines(&self, table: &mut Table, rates: Option<&Rates>) {
        for (counter, packets) in &self.counters {
            table.cell(self.key()).cell(counter).cell(packets);
            if let Some(rates) = rates {
                table.optional(rates.of(counter.name()));
            }
        }
    }

    fn key(&self) -> String {
        self.worker
            .map_or_else(|| "all".to_owned(), |worker| worker.to_string())
    }

    fn counts(&self) -> Vec<Count> {
        let counters = self.counters.iter();
        counters
            .map(|(counter, packets)| Count::new(counter.name(), *packets))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Vec<Counted> {
        let worker = |number: u32| Counted {
            worker: Some(number),
            counters: IcmpCounter::ALL
                .iter()
                .map(|counter| (*counter, (*counter as u64 + 1) * u64::from(number)))
                .collect(),
        };
        with_sum(vec![worker(1), worker(10)])
    }

    #[test]
    fn the_json_form_is_stable_and_begins_with_the_sums() {
        let shown = shown();
        assert_eq!(
            serde_json::to_string(&shown[0]).unwrap(),
            r#"{"worker":null,"err_in":11,"err_translated_in":22,"err_translated_out":33,"err_no_conn":44,"err_bad_csum":55,"err_bad_inner":66,"err_short":77,"err_rate_limited":88,"query_new":99,"query_hit_in":110,"query_hit_out":121,"query_unsolicited":132,"query_no_svc_local":143,"query_no_dest":154,"id_miss":165,"redirected":176,"siso_hit":187,"siso_miss":198}"#
        );
        let workers: Vec<_> = shown.iter().map(|counted| counted.worker).collect();
        assert_eq!(workers, [None, Some(1), Some(10)]);
    }

    #[test]
    fn each_counter_of_each_worker_has_a_line() {
        let mut table = Table::new(Counted::COLUMNS.to_vec());
        shown().iter().for_each(|counted| counted.lines(&mut table, None));
        let mut out = Vec::new();
        table.write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + 3 * IcmpCounter::COUNT);
        assert_eq!(lines[0], "WORKER  COUNTER             PACKETS");
        assert_eq!(lines[1], "all     err_in                   11");
        assert_eq!(lines[19], "1       err_in                    1");
        assert_eq!(lines[54], "10      siso_miss               180");
    }
}
