//! 05: several requests at once. Introduces generate_batch, whose requests share the steps of the device, several choices
//! of one request, and the token counts that every result has. usage: 05_batch [MODEL]

use deepseam::{generate_batch, Callbacks, Input, Params, Request};

const PROMPTS: [&str; 4] = ["int main(void) {", "def hello():", "fn main() {", "package main\n"];

fn main() {
    samples::run(|runtime| {
        let model = samples::open_model(runtime)?;
        let params =
            Params { max_tokens: 16, temperature: 0.7, top_p: 0.9, seed: 1, n_choices: 2, ..Params::default() };
        // One sequence of tokens each.
        let mut sessions = PROMPTS.iter().map(|_| model.session()).collect::<deepseam::Result<Vec<_>>>()?;
        let request =
            |(session, prompt)| Request { session, input: Input::Text(prompt), params, callbacks: Callbacks::new() };
        let outcomes = generate_batch(sessions.iter_mut().zip(PROMPTS).map(request).collect())?;
        let mut failed = 0;
        for (outcome, prompt) in outcomes.iter().zip(PROMPTS) {
            println!("--- {}", prompt);
            match outcome {
                Err(error) => {
                    println!("failed: {}", error.code());
                    failed += 1;
                }
                Ok(result) => {
                    for choice in 0..2 {
                        println!("{}: {}", choice, result.text(choice)?);
                    }
                    let info = result.info()?;
                    let (given, made) = (info.number("usage.prompt_tokens")?, info.number("usage.completion_tokens")?);
                    println!("   {} tokens in, {} out", given, made);
                }
            }
        }
        Ok(failed == 0)
    });
}
