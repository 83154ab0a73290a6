//! Which thread may do what, as the C header's thread classes say: [any-thread] is `Send + Sync` and `&self`,
//! [session-serial] is `Send` and `&mut self`.

mod common;

use common::*;
use deepseam::*;

fn send<T: Send>() {}
fn sync<T: Sync>() {}

#[test]
fn handles_move_between_threads_and_are_shared() {
    send::<Runtime>();
    sync::<Runtime>();
    send::<Model>();
    sync::<Model>();
    send::<Session<'static>>();
    sync::<Session<'static>>(); // what it does by & is [any-thread]: settings and facts
    send::<Job<'static>>();
    sync::<Job<'static>>();
    send::<OpenJob>();
    sync::<OpenJob>();
    send::<Generation>();
    sync::<Generation>();
    send::<Info>();
    sync::<Info>();
    send::<Cancel>();
    sync::<Cancel>();
    send::<Cache>();
    sync::<Cache>();
    send::<Adapter>();
    sync::<Adapter>();
    send::<Control>();
    sync::<Control>();
    send::<Error>();
    sync::<Error>();
    send::<Callbacks<'static>>(); // they are called from one thread after the other, never by two at once
}

#[test]
fn what_is_serial_needs_the_session_for_itself() {
    // Types of functions: a change from &mut self to &self does not compile here.
    let _: for<'s, 'e> fn(&'s mut Session<'static>, &'e Eval<'e>) -> Result<Logits<'s>> =
        |session, eval| session.eval(eval);
    let _: fn(&mut Session<'static>, u64) -> Result<()> = Session::rewind;
    let _: for<'s, 'a> fn(&'s mut Session<'static>, &'a Fim<'a>, &'a Params<'a>) -> Result<Generation> =
        |session, fim, params| session.fim(fim, params);
    let _: for<'s, 'a> fn(&'s mut Session<'static>, &'a str, &'a Params<'a>) -> Result<Job<'s>> =
        |session, text, params| session.start(text, params);
    let _: fn(&Session<'static>) -> Result<Info> = Session::info;
}

#[test]
fn sessions_of_one_model_run_side_by_side() {
    let _alone = alone();
    let runtime = runtime();
    let model = runtime.open(&options()).unwrap();
    let expected = model.session().unwrap().generate(PROMPT, &greedy(12)).unwrap().ids(0).unwrap().to_vec();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut session = model.session().unwrap();
                for _ in 0..3 {
                    assert_eq!(session.generate(PROMPT, &greedy(12)).unwrap().ids(0).unwrap(), expected);
                }
            });
        }
    });
    let mut session = model.session().unwrap();
    let job = session.start(PROMPT, &greedy(12)).unwrap();
    let moved = std::thread::scope(|scope| scope.spawn(move || job.finish().unwrap()).join().unwrap());
    assert_eq!(moved.ids(0).unwrap(), expected);
    drop(session);
    drop(model);
    end(runtime);
}
