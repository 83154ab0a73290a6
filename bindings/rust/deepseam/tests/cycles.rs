//! Open, generate, close, again and again: no handle and no memory stays behind. DS_TEST_FULL: ten thousand times.
#![cfg(target_os = "linux")]

mod common;

use common::*;
use deepseam::*;

/// Bytes of memory that this process really has.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

fn cycle() {
    let runtime = runtime();
    let model = runtime.open(&ModelOptions { context_length: 64, ..options() }).unwrap();
    let mut session = model.session().unwrap();
    assert_eq!(session.generate(PROMPT, &greedy(1)).unwrap().ids(0).unwrap().len(), 1);
    let job = session.start(PROMPT, &greedy(1)).unwrap();
    job.finish().unwrap();
    drop(session);
    drop(model);
    end(runtime);
    assert_eq!(live_objects(), 0);
}

#[test]
fn memory_is_flat_over_many_cycles() {
    let _alone = alone();
    let cycles = if std::env::var_os("DS_TEST_FULL").is_some() { 10_000 } else { 400 };
    model_path();
    (0..cycles / 4).for_each(|_| cycle());
    // A leak of 200 bytes in each of 7,500 cycles would be more. The heap's own ups and downs are less but for the time in
    // which it grows to its size, so one flat round in four is enough; a leak shows in each.
    let grown = |round| {
        let before = resident();
        (0..cycles * 3 / 4).for_each(|_| cycle());
        let bytes = resident() - before;
        println!("round {}: {} cycles, {} bytes more", round, cycles * 3 / 4, bytes);
        bytes
    };
    assert!((0..4).any(|round| grown(round) < 1_500_000), "memory grew by 1.5 MB or more in each of four rounds");
}
