//! Packets, answers, and tools that come and go, as chance has it.

use dpdk::Pool;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::{Bench, CLOSED, OPEN, RULES};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Punt(usize),
    Answer(usize, u8),
    Serve,
    Later(u64),
    Come,
    Go,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..RULES.len()).prop_map(Step::Punt),
        6 => (any::<usize>(), 0..3u8).prop_map(|(number, how)| Step::Answer(number, how)),
        4 => Just(Step::Serve),
        1 => (0..15_000_000u64).prop_map(Step::Later),
        1 => Just(Step::Come),
        1 => Just(Step::Go),
    ];
    prop::collection::vec(step, 1..200)
}

pub(crate) fn whatever_happens_the_sums_are_right(pool: &Pool) {
    let mut runner = TestRunner::new(Config::with_cases(64));
    let outcome = runner.run(&steps(), |steps| {
        let mut bench = Bench::new(pool);
        let mut given = [0; 3];
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Punt(rule) => given[rule] += u64::from(bench.punt(RULES[rule]).is_ok()),
                Step::Answer(number, how) => bench.answer(number, how),
                Step::Serve => bench.serve(),
                Step::Later(ticks) => bench.now += ticks,
                Step::Come => {
                    bench.go();
                    bench.serve();
                    // The watcher has a number below these.
                    bench.come(number as u32 + 1000);
                    bench.serve();
                }
                Step::Go => {
                    bench.go();
                    bench.serve();
                }
            }
            let ended = bench.ends(OPEN) + bench.ends(CLOSED);
            prop_assert!(ended <= bench.on + bench.gone + bench.orphans.len() as u64);
        }
        bench.go();
        bench.serve();
        prop_assert_eq!([bench.ends(OPEN), bench.ends(CLOSED)], [given[0], given[1]]);
        prop_assert_eq!(bench.on + bench.gone, given.iter().sum::<u64>());
        Ok(())
    });
    outcome.unwrap();
}
