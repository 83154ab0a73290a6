//! Generating: parameters, callbacks, jobs in their three forms, batches, logits, and how things end.

mod common;

use common::*;
use deepseam::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

/// Runs a test on an open model, and ends the runtime.
fn with_model(test: impl FnOnce(&Runtime, &Model)) {
    let _alone = alone();
    let runtime = runtime();
    let model = runtime.open(&options()).unwrap();
    test(&runtime, &model);
    drop(model);
    end(runtime);
}

fn ids(generation: &Generation) -> Vec<u32> {
    generation.ids(0).unwrap().to_vec()
}

#[test]
fn greedy_text_repeats_and_is_counted() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let one = session.generate(PROMPT, &greedy(8)).unwrap();
        let two = session.generate(PROMPT, &greedy(8)).unwrap();
        assert_eq!(ids(&one), ids(&two));
        assert_eq!(one.finish(0).unwrap(), Finish::Length);
        assert_eq!(one.info().unwrap().number("usage.completion_tokens").unwrap(), 8);
        assert_eq!(model.detokenize(one.ids(0).unwrap(), 0).unwrap(), one.text(0).unwrap());
        assert!(session.info().unwrap().number("length").unwrap() > 8);
        assert_eq!(code(one.text(7)), Code::ARGUMENT);
    });
}

#[test]
fn parameters_steer() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let bias = [(80, 1e6)];
        let forced = Params { logit_bias: &bias, ..greedy(6) };
        let run = session.generate(PROMPT, &forced).unwrap();
        assert_eq!(ids(&run), [80; 6]);
        let letter = &run.text(0).unwrap()[..1];
        let stopped = session.generate(PROMPT, &Params { stops: &[letter], ..forced }).unwrap();
        assert_eq!((stopped.finish(0).unwrap(), stopped.text(0).unwrap()), (Finish::Stop, ""));
        let by_id = session.generate(PROMPT, &Params { stop_ids: &[80], ..forced }).unwrap();
        assert_eq!(by_id.finish(0).unwrap(), Finish::Stop);
        let late = Params { deadline: Duration::from_nanos(1), ..greedy(1000) };
        assert_eq!(session.generate(PROMPT, &late).unwrap().finish(0).unwrap(), Finish::Deadline);
        let warm = Params { prefill_only: true, ..Params::default() };
        assert_eq!(session.generate(PROMPT, &warm).unwrap().finish(0).unwrap(), Finish::Prefill);
        let sampled = Params { temperature: 1.0, n_choices: 2, random_seed: true, ..greedy(12) };
        let drawn = session.generate(PROMPT, &sampled).unwrap();
        let seed = drawn.info().unwrap().number("seed").unwrap();
        let same = session.generate(PROMPT, &Params { seed, random_seed: false, ..sampled }).unwrap();
        assert_eq!(drawn.ids(1).unwrap(), same.ids(1).unwrap());
        assert_ne!(drawn.ids(0).unwrap(), drawn.ids(1).unwrap());
        let recorded = session.generate(PROMPT, &Params { logprobs: Some(2), ..greedy(5) }).unwrap();
        let logprobs = recorded.logprobs(0).unwrap();
        assert_eq!((logprobs.width, logprobs.rows().count()), (3, 5));
        assert!(logprobs
            .rows()
            .zip(recorded.ids(0).unwrap())
            .all(|(row, id)| row[0].id == *id && row[0].logprob <= 0.0));
        assert_eq!(run.logprobs(0).unwrap().width, 0);
        let cold = Params { temperature: -1.0, ..greedy(1) };
        assert_eq!(code(session.generate(PROMPT, &cold)), Code::ARGUMENT);
        let long = vec![65u32; 3000];
        assert_eq!(code(session.generate(&long, &greedy(1))), Code::CONTEXT_FULL);
    });
}

#[test]
fn callbacks_see_edit_and_stop() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let masked = Callbacks::new().on_mask(|event| {
            event.allow_only(&[70, 71]);
            event.forbid(71);
            Flow::Continue
        });
        assert_eq!(ids(&session.generate_with(PROMPT, &greedy(3), masked).unwrap()), [70; 3]);
        let edited = Callbacks::new().on_logits(|event| {
            event.logits[72] = 1e6;
            Flow::Continue
        });
        assert_eq!(ids(&session.generate_with(PROMPT, &greedy(3), edited).unwrap()), [72; 3]);
        let (mut text, mut last, mut steps) = (String::new(), Finish::None, 0);
        let seen = Callbacks::new()
            .on_text(|event| {
                text.push_str(event.text);
                last = event.finish;
                Flow::Continue
            })
            .on_progress(|_| {
                steps += 1;
                Flow::Continue
            });
        let run = session.generate_with(PROMPT, &Params { ignore_end: true, ..greedy(20) }, seen).unwrap();
        assert_eq!(text, run.text(0).unwrap());
        assert_eq!(last, Finish::Length);
        assert!(steps > 0);
        let run = session.generate_with(PROMPT, &greedy(200), Callbacks::new().on_text(|_| Flow::Stop)).unwrap();
        assert_eq!(run.finish(0).unwrap(), Finish::Callback);
    });
}

#[test]
fn a_panic_in_a_callback_goes_on_in_the_caller() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let panics = Callbacks::new().on_text(|_| std::panic::panic_any(7));
            session.generate_with(PROMPT, &greedy(100), panics).map(drop)
        }));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&7));
        let panics = Callbacks::new().on_text(|_| std::panic::panic_any(8));
        let job = session.start_with(PROMPT, &greedy(100), panics, false).unwrap();
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job.finish().map(drop)));
        assert_eq!(caught.unwrap_err().downcast_ref(), Some(&8));
        session.generate(PROMPT, &greedy(2)).unwrap();
    });
}

#[test]
fn a_call_that_waits_is_refused_in_a_callback() {
    with_model(|runtime, model| {
        let mut answers = Vec::new();
        let nested = Callbacks::new().on_text(|_| {
            answers.push(code(runtime.process_events(Duration::ZERO)));
            answers.push(code(runtime.shutdown(Duration::ZERO)));
            Flow::Stop
        });
        model.session().unwrap().generate_with(PROMPT, &greedy(50), nested).unwrap();
        assert_eq!(answers, [Code::REENTRANT; 2]);
    });
}

#[test]
fn a_job_is_an_iterator_of_text() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let params = Params { ignore_end: true, ..greedy(40) };
        let whole = session.generate(PROMPT, &params).unwrap();
        let mut job = session.start(PROMPT, &params).unwrap();
        let text: String = job.by_ref().collect();
        assert_eq!(text, whole.text(0).unwrap());
        assert_eq!(job.state().unwrap(), JobState::Done);
        assert_eq!(job.progress().unwrap().done, 40);
        assert_eq!(ids(&job.finish().unwrap()), ids(&whole));
    });
}

#[test]
fn callbacks_of_a_job_run_inside_of_its_methods_or_spontaneously() {
    with_model(|runtime, model| {
        for spontaneous in [false, true] {
            let host = std::thread::current().id();
            let seen = Arc::new(Mutex::new((0, 0)));
            let count = Arc::clone(&seen);
            let callbacks = Callbacks::new().on_text(move |_| {
                let mut seen = count.lock().unwrap();
                *(if std::thread::current().id() == host { &mut seen.0 } else { &mut seen.1 }) += 1;
                Flow::Continue
            });
            let mut session = model.session().unwrap();
            let mut job = session.start_with(PROMPT, &greedy(10), callbacks, spontaneous).unwrap();
            assert!(job.by_ref().count() > 0);
            job.finish().unwrap();
            let (here, elsewhere) = *seen.lock().unwrap();
            assert_eq!((here > 0, elsewhere > 0), (!spontaneous, spontaneous));
            assert_eq!(Arc::strong_count(&seen), 1, "the closure is freed");
        }
        let mut session = model.session().unwrap();
        let job = session.start_with(PROMPT, &greedy(10), Callbacks::new().on_text(|_| Flow::Continue), false).unwrap();
        let (mut delivered, mut done) = (0, false);
        while !done {
            done = job.state().unwrap() == JobState::Done; // once more after its end: it may come before the first look
            delivered += runtime.process_events(Duration::from_millis(10)).unwrap();
        }
        assert!(delivered > 0);
        job.finish().unwrap();
    });
}

/// An executor: one task on this thread, which sleeps until it is woken.
fn block_on<F: Future>(mut future: F) -> (F::Output, usize) {
    struct Bell(mpsc::SyncSender<()>, AtomicUsize);
    impl Wake for Bell {
        fn wake(self: Arc<Self>) {
            self.1.fetch_add(1, Ordering::SeqCst);
            let _ = self.0.try_send(());
        }
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    let bell = Arc::new(Bell(sender, AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&bell));
    let mut future = unsafe { Pin::new_unchecked(&mut future) };
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return (output, bell.1.load(Ordering::SeqCst));
        }
        receiver.recv_timeout(Duration::from_secs(60)).expect("nobody woke the task");
    }
}

#[test]
fn jobs_are_futures() {
    let _alone = alone();
    let runtime = runtime();
    let (outcome, wakes) = block_on(async {
        let model = runtime.open_start(&options(), Callbacks::new())?.await?;
        let mut session = model.session()?;
        let whole = ids(&session.generate(PROMPT, &greedy(20))?);
        let awaited = session.start(PROMPT, &greedy(20))?.await?;
        assert_eq!(ids(&awaited), whole);
        let masked = Callbacks::new().on_mask(|event| {
            event.allow_only(&[70]);
            Flow::Continue
        });
        let steered = session.start_with(PROMPT, &greedy(5), masked, false)?.await?;
        assert_eq!(ids(&steered), [70; 5]);
        runtime.open_start(&ModelOptions::path("/no/such/model"), Callbacks::new())?.await
    });
    assert_eq!(code(outcome), Code::NOT_FOUND);
    assert!(wakes > 0);
    end(runtime);
}

#[test]
fn cancelling_ends_with_the_text_so_far() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let cancel = Cancel::new().unwrap();
        let setter = cancel.clone();
        let until_ten = Callbacks::new().on_text(move |event| {
            if event.text.len() > 3 {
                setter.set().unwrap();
            }
            Flow::Continue
        });
        let params = Params { cancel: Some(&cancel), ignore_end: true, ..greedy(1000) };
        let run = session.generate_with(PROMPT, &params, until_ten).unwrap();
        assert_eq!(run.finish(0).unwrap(), Finish::Cancelled);
        assert!(!run.text(0).unwrap().is_empty());
        let job = session.start(PROMPT, &Params { ignore_end: true, ..greedy(1500) }).unwrap();
        assert!(!job.wait(Duration::from_nanos(1)).unwrap());
        job.cancel().unwrap();
        assert!(job.wait(Duration::from_secs(60)).unwrap());
        assert_eq!(job.finish().unwrap().finish(0).unwrap(), Finish::Cancelled);
    });
}

#[test]
fn a_session_whose_job_is_forgotten_is_busy_and_recovers_from_a_dropped_one() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        drop(session.start(PROMPT, &Params { ignore_end: true, ..greedy(1500) }).unwrap());
        let mut outcome = session.generate(PROMPT, &greedy(2));
        for _ in 0..6000 {
            match outcome {
                Err(error) => assert_eq!(error.code(), Code::BUSY),
                Ok(_) => return,
            }
            std::thread::sleep(Duration::from_millis(10));
            outcome = session.generate(PROMPT, &greedy(2));
        }
        panic!("the session stays busy");
    });
}

#[test]
fn settings_change_while_a_job_runs() {
    with_model(|_, model| {
        let options = SessionOptions { priority: Priority::Interactive, ..SessionOptions::default() };
        let mut session = model.session_with(&options).unwrap();
        session.set(&[Setting::number("suspended", 1)]).unwrap();
        let control = session.control();
        let job = session.start(PROMPT, &greedy(4)).unwrap();
        assert!(!job.wait(Duration::from_millis(50)).unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| control.set(&[Setting::number("suspended", 0)]).unwrap());
        });
        assert!(job.wait(Duration::from_secs(60)).unwrap());
        job.finish().unwrap();
        assert!(control.info().unwrap().number("length").unwrap() > 4);
        assert_eq!(code(control.set(&[Setting::number("no.such", 1)])), Code::UNKNOWN_FIELD);
        control.set(&[Setting::number("no.such", 1).ignorable()]).unwrap();
    });
}

#[test]
fn cursors_and_conversations() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let snippets = [Snippet { file_name: "a.h", text: "int a;\n" }];
        let fim = Fim { prefix: "int b = ", suffix: ";\n", file_name: "b.c", snippets: &snippets, ..Fim::default() };
        let run = session.fim(&fim, &greedy(4)).unwrap();
        let n = run.info().unwrap().number("usage.prompt_tokens").unwrap();
        assert_eq!(n, model.fim_prompt(&fim).unwrap().len() as u64);
        let typed = Fim { typed: Some("a"), anchored: true, ..fim };
        session.fim(&typed, &greedy(4)).unwrap();
        assert_eq!(ids(&session.generate(&fim, &greedy(4)).unwrap()), ids(&run));
        let messages = [Message { role: "user", content: "Hello" }];
        let chat = Chat { messages: &messages, template: "v3", ..Chat::default() };
        let answer = session.chat(&chat, &greedy(4)).unwrap();
        assert_eq!(ids(&session.generate(&chat, &greedy(4)).unwrap()), ids(&answer));
    });
}

#[test]
fn a_batch_gives_each_what_it_would_get_alone() {
    with_model(|_, model| {
        let prompts = ["int a;", "def b():", "c = 1"];
        let alone: Vec<_> = prompts
            .iter()
            .map(|prompt| ids(&model.session().unwrap().generate(*prompt, &greedy(10)).unwrap()))
            .collect();
        let mut sessions: Vec<_> = (0..4).map(|_| model.session().unwrap()).collect();
        let mut seen = 0;
        let mut counts = Some(Callbacks::new().on_text(|_| {
            seen += 1;
            Flow::Continue
        }));
        let mut requests = Vec::new();
        for (index, session) in sessions.iter_mut().enumerate() {
            let input = Input::Text(prompts[index % 3]);
            let params = if index == 3 { Params { temperature: -1.0, ..greedy(10) } } else { greedy(10) };
            let callbacks = if index == 0 { counts.take().unwrap() } else { Callbacks::new() };
            requests.push(Request { session, input, params, callbacks });
        }
        let outcomes = generate_batch(requests).unwrap();
        for (outcome, expected) in outcomes.iter().zip(&alone) {
            assert_eq!(&ids(outcome.as_ref().unwrap()), expected);
        }
        assert_eq!(outcomes[3].as_ref().unwrap_err().code(), Code::ARGUMENT);
        drop(counts);
        assert!(seen > 0);
    });
}

#[test]
fn logits_come_as_a_view_or_into_an_array() {
    with_model(|_, model| {
        let mut session = model.session().unwrap();
        let tokens = [0, 65, 66, 67];
        let all = Eval { ids: &tokens, want: Want::All, ..Eval::default() };
        let view = session.eval(&all).unwrap();
        let vocab = view.vocab;
        let first = view.values.to_vec();
        assert_eq!(first.len(), 4 * vocab);
        assert!(first.iter().all(|value| value.is_finite()));
        session.rewind(0).unwrap();
        let mut array = vec![0.0; 4 * vocab];
        let again = Eval { chunk: 2, no_reuse: true, no_store: true, ..all };
        let error = session.eval_into(&again, &mut array[1..]).unwrap_err();
        assert_eq!((error.code(), error.bytes_needed()), (Code::BUFFER, first.len() as u64 * 4));
        assert_eq!(session.eval_into(&again, &mut array).unwrap().n_computed, 4);
        assert_eq!(array, first);
        session.rewind(3).unwrap();
        let last = session.eval(&Eval { ids: &tokens[3..], ..Eval::default() }).unwrap();
        assert_eq!(last.values, &first[3 * vocab..]);
        assert_eq!(code(session.rewind(100)), Code::ARGUMENT);
    });
}

#[test]
fn after_the_shutdown_everything_says_so_and_can_be_dropped() {
    let _alone = alone();
    let runtime = runtime();
    let model = runtime.open(&options()).unwrap();
    let mut session = model.owned_session(&SessionOptions::default()).unwrap();
    runtime.shutdown(Duration::from_secs(20)).unwrap();
    runtime.shutdown(Duration::from_secs(20)).unwrap();
    assert_eq!(code(session.generate(PROMPT, &greedy(1))), Code::SHUT_DOWN);
    assert_eq!(code(model.session()), Code::SHUT_DOWN);
    drop(runtime);
    drop(model);
    drop(session);
}
