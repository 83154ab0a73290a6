//! 02: text as it comes, in the two ways there are. Introduces the text callback of a blocking call, which may stop the
//! generation, and jobs: a program with a loop of its own starts one, asks now and then, and can cancel it. (A job is an
//! iterator and a future, too.) usage: 02_stream [MODEL]

use deepseam::{Callbacks, Finish, Flow, JobState, Params, Session};
use std::io::Write;

const PROMPT: &str = "def quicksort(items):";

fn show(text: &str) {
    print!("{}", text);
    let _ = std::io::stdout().flush();
}

fn stream_by_callback(session: &mut Session<'_>) -> deepseam::Result<()> {
    let mut wanted = 40;
    // Runs on this thread, inside of generate_with. How many characters come at once depends on who is faster.
    let print = Callbacks::new().on_text(|event| {
        let piece: String = event.text.chars().take(wanted).collect();
        show(&piece);
        wanted -= piece.chars().count();
        if wanted > 0 {
            Flow::Continue
        } else {
            Flow::Stop
        }
    });
    let result = session.generate_with(PROMPT, &Params::default(), print)?;
    let stopped = result.finish(0)? == Finish::Callback;
    println!("\n[{}]", if stopped { "stopped by the callback" } else { "finished" });
    Ok(())
}

fn stream_by_job(session: &mut Session<'_>) -> deepseam::Result<()> {
    let params = Params { max_tokens: 48, temperature: 0.8, seed: 7, ..Params::default() };
    let mut job = session.start(PROMPT, &params)?;
    let mut total = 0;
    loop {
        // A frame of a game, a turn of an event loop.
        let state = job.state()?;
        let piece = job.read(0)?;
        show(&piece);
        total += piece.len();
        if total > 2000 {
            job.cancel()?;
        }
        if state == JobState::Done && piece.is_empty() {
            break;
        }
    }
    job.finish()?;
    println!("\n[{} bytes]", total);
    Ok(())
}

fn main() {
    samples::run(|runtime| {
        let model = samples::open_model(runtime)?;
        let mut session = model.session()?;
        stream_by_callback(&mut session)?;
        stream_by_job(&mut session)?;
        Ok(true)
    });
}
