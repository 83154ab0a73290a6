//! The model that ships with deepseam, inside of this program.
#![cfg(feature = "embedded")]

mod common;

use common::*;
use deepseam::*;

#[test]
fn the_model_inside_completes_code() {
    let _alone = alone();
    let runtime = Runtime::new().unwrap();
    let model = runtime.open(&ModelOptions::new(Source::embedded_bytes())).unwrap();
    let mut session = model.session().unwrap();
    assert!(!session.generate("int main(void) {", &greedy(4)).unwrap().text(0).unwrap().is_empty());
    drop(session);
    drop(model);
    end(runtime);
}
