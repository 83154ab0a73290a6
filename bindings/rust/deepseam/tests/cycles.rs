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

#[test]
fn memory_is_flat_over_many_cycles() {
    let _alone = alone();
    let cycles = if std::env::var_os("DS_TEST_FULL").is_some() { 10_000 } else { 400 };
    model_path();
    let mut before = 0;
    for cycle in 0..cycles {
        if cycle == cycles / 4 {
            before = resident();
        }
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
    let grown = resident() - before;
    println!("{} cycles, {} bytes more than after a quarter of them", cycles, grown);
    // A leak of 200 bytes in each of the last 7,500 cycles would be more; the heap's own ups and downs are less.
    assert!(grown < 1_500_000, "{} bytes more after {} cycles", grown, cycles - cycles / 4);
}
