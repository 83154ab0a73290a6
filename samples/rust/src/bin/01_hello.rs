//! 01: the shortest useful program. Introduces runtime, model, session, generate, result, and the one way of failing: an
//! error with a code and a sentence. usage: 01_hello [MODEL]   (default: the model that ships with the library)

use deepseam::{ModelOptions, Params, Runtime};
use std::time::Duration;

fn hello() -> deepseam::Result<()> {
    let path = std::env::args().nth(1).unwrap_or_else(|| "embedded".to_string());
    let runtime = Runtime::new()?;
    let model = runtime.open(&ModelOptions::path(path))?;
    let mut session = model.session()?;
    let result = session.generate("int main(void) {", &Params { max_tokens: 32, ..Params::default() })?;
    println!("{}", result.text(0)?);
    // Dropping, in any order, never waits. The shutdown does: it ends the library's threads.
    runtime.shutdown(Duration::from_secs(1))
}

fn main() {
    let outcome = hello();
    if let Err(error) = &outcome {
        eprintln!("{}", error);
    }
    std::process::exit(if outcome.is_ok() && deepseam::live_objects() == 0 { 0 } else { 1 });
}
