//! 06: everything that can go wrong comes back as a number and a sentence, and the next call works. Introduces the ranges of
//! statuses, what an error tells, plans (what does not fit is said before loading), cancelling, and the report on plugins.
//! Two of the mistakes that the C sample makes do not compile in Rust, so they are made with the raw functions.
//! usage: 06_errors [MODEL]

use deepseam::sys::*;
use deepseam::{Cancel, Code, Finish, ModelOptions, Params, Runtime, Session};
use std::ptr::null_mut;

/// Prints a failure; 1 if it was not the expected one.
fn expect(expected: Code, code: Code, message: &str) -> u32 {
    println!("{:<22} {}", code.name(), message);
    u32::from(code != expected)
}

fn expect_error<T>(expected: Code, outcome: deepseam::Result<T>) -> u32 {
    match outcome {
        Ok(_) => expect(expected, Code(DS_OK), ""),
        Err(error) => expect(expected, error.code(), error.message()),
    }
}

fn open_what_is_not_there(runtime: &Runtime) -> u32 {
    let outcome = runtime.open(&ModelOptions::path("/no/such/model"));
    if let Err(error) = &outcome {
        if error.path() != "/no/such/model" {
            println!("(the error names {})", error.path());
        }
    }
    expect_error(Code::NOT_FOUND, outcome)
}

fn plan_with_too_little(runtime: &Runtime) -> deepseam::Result<u32> {
    let options = ModelOptions { ram_budget: 4096, ..ModelOptions::path(samples::model_path()) };
    let plan = runtime.plan(&options)?; // a plan that does not fit is an answer, not an error
    let fits = plan.number("fits")? != 0;
    println!("{:<22} {}", "(plan)", if fits { "" } else { plan.text("reason")? });
    Ok(u32::from(fits))
}

/// A struct of a wrong size, and a handle of another kind.
fn mistakes_that_do_not_compile() -> u32 {
    let message = |error: &ds_error| {
        let bytes: Vec<u8> = error.message.iter().take_while(|byte| **byte != 0).map(|byte| *byte as u8).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let mut error = ds_error::default();
    unsafe {
        let (mut runtime, mut model, mut session, mut result) = (null_mut(), null_mut(), null_mut(), null_mut());
        let options = ds_runtime_options { abi_version: DS_ABI_VERSION, ..Default::default() };
        let path = samples::model_path();
        let path = ds_text { data: path.as_ptr().cast(), size: path.len() as u64 };
        let source = ds_source_path { path, ..Default::default() };
        let model_options = ds_model_options { source: &source.head, ..Default::default() };
        let text = ds_text { data: b"x".as_ptr().cast(), size: 1 };
        let input = ds_text_input { text, ..Default::default() };
        let params = ds_params { struct_size: 4, ..Default::default() };
        ds_runtime_create(&options, &mut runtime, &mut error);
        ds_model_open(runtime, &model_options, &mut model, &mut error);
        ds_session_create(model, std::ptr::null(), &mut session, &mut error);
        let status = ds_generate(session, &input.head, &params, &mut result, &mut error);
        let mut mistakes = expect(Code::STRUCT, Code(status), &message(&error));
        let status = ds_generate(model.cast(), &input.head, std::ptr::null(), &mut result, &mut error);
        mistakes += expect(Code::HANDLE, Code(status), &message(&error));
        ds_session_release(session);
        ds_model_release(model);
        ds_runtime_shutdown(runtime, 0, &mut error);
        ds_runtime_release(runtime);
        mistakes
    }
}

fn cancel_before_it_begins(session: &mut Session<'_>) -> deepseam::Result<u32> {
    let cancel = Cancel::new()?;
    cancel.set()?; // from any thread, also from a signal handler
    let params = Params { max_tokens: 1000, cancel: Some(&cancel), ..Params::default() };
    let reason = session.generate("x", &params)?.finish(0)?;
    println!("{:<22} finish reason {}", "(cancelled)", reason as u32);
    Ok(u32::from(reason != Finish::Cancelled))
}

fn main() {
    samples::run(|runtime| {
        let mut mistakes = open_what_is_not_there(runtime);
        mistakes += plan_with_too_little(runtime)?;
        let model = samples::open_model(runtime)?;
        let mut session = model.session()?;
        let cold = Params { temperature: -1.0, ..Params::default() };
        mistakes += expect_error(Code::ARGUMENT, session.generate("x", &cold));
        mistakes += mistakes_that_do_not_compile();
        mistakes += cancel_before_it_begins(&mut session)?;
        println!("{}", runtime.plugin_report()?.json()?); // why each backend is there, or is not
        Ok(mistakes == 0)
    });
}
