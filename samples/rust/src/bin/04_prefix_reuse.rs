//! 04: a prefix is computed once. Introduces the cache: what it held of a prompt ("usage.cached_tokens"), warming it
//! without generating, salts that keep tenants apart, and its statistics. usage: 04_prefix_reuse [MODEL]

use deepseam::{CacheOptions, ModelOptions, Params, Session};

/// What all the prompts begin with: a style guide, the head of a file, a conversation.
fn shared() -> String {
    let mut text = String::new();
    while text.len() < 300 {
        text.push_str("/* All names are lower case. */\n");
    }
    text
}

fn ask(session: &mut Session<'_>, question: &str, params: &Params<'_>) -> deepseam::Result<u64> {
    let result = session.generate(&(shared() + question), &Params { max_tokens: 4, ..*params })?;
    let info = result.info()?;
    let cached = info.number("usage.cached_tokens")?;
    let name = if question.is_empty() { "(warming)" } else { question };
    let all = info.number("usage.prompt_tokens")?;
    println!("{:<28} {:>4} of {:>4} prompt tokens were in the cache", name, cached, all);
    Ok(cached)
}

fn main() {
    samples::run(|runtime| {
        let cache = runtime.open_cache(&CacheOptions { ram_bytes: 64 << 20, ..CacheOptions::default() })?;
        let options = ModelOptions { cache: Some(&cache), ..ModelOptions::path(samples::model_path()) };
        let model = runtime.open(&options)?;
        let (mut first, mut second) = (model.session()?, model.session()?);
        ask(&mut first, "", &Params { prefill_only: true, ..Params::default() })?;
        let warm = ask(&mut first, "int add(", &Params::default())?;
        let other = ask(&mut second, "int sub(", &Params::default())?; // sessions share what they compute
        let tenant = Params { cache_salt: "another tenant", ..Params::default() };
        let foreign = ask(&mut second, "int add(", &tenant)?;
        let stats = cache.stats()?;
        let (lookups, hits) = (stats.number("lookups")?, stats.number("hit_tokens")?);
        println!("{} lookups, {} tokens were not computed again", lookups, hits);
        cache.erase("another tenant")?;
        Ok(warm > 0 && other > 0 && foreign == 0)
    });
}
