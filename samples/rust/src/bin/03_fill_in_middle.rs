//! 03: completing code at a cursor. Introduces fim with what is before and after the cursor, the file's name, other files
//! as snippets, stop strings, and the two layouts of the prompt. usage: 03_fill_in_middle [MODEL]

use deepseam::{Fim, Params, Session, Snippet};

const BEFORE: &str = "#include \"vec.h\"\n\nfloat dot(struct vec a, struct vec b) {\n  return ";
const AFTER: &str = ";\n}\n";
const OTHER: &str = "struct vec { float x, y, z; };\n";

fn complete(session: &mut Session<'_>, anchored: bool, name: &str) -> deepseam::Result<()> {
    let snippets = [Snippet { file_name: "vec.h", text: OTHER }];
    let input =
        Fim { prefix: BEFORE, suffix: AFTER, file_name: "vec.c", snippets: &snippets, anchored, ..Fim::default() };
    let result = session.fim(&input, &Params { max_tokens: 24, stops: &["\n"], ..Params::default() })?;
    let tokens = result.info()?.number("usage.prompt_tokens")?;
    println!("{} layout, {} prompt tokens: {}", name, tokens, result.text(0)?);
    Ok(())
}

fn main() {
    samples::run(|runtime| {
        let model = samples::open_model(runtime)?;
        let mut session = model.session()?;
        complete(&mut session, false, "plain")?; // the form the model was trained on
        complete(&mut session, true, "anchored")?; // cheap from keystroke to keystroke
        Ok(true)
    });
}
