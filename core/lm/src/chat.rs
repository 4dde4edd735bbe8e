//! Chat templates, rendered as Hugging Face renders them.

mod python;
pub(crate) mod sources;

use std::path::Path;

use driftgauge_folder::special::SpecialTokens;
use driftgauge_problem::{Problem, guarded};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};

/// One turn of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// The text of the turn, before the chat template.
    pub content: String,
}

impl Message {
    /// A turn of `role` saying `content`.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self {
            role: role.into(),
            content: content.into(),
        }
    }
}

/// The chat template of a model folder.
///
/// Templates that ask for today's date (`strftime_now`) always get 26 July 2024, the date Llama 3 templates fall back to:
/// a prompt must not change overnight.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    special_tokens: Vec<(String, String)>,
}

/// Instructions that one conversation may take, so that every template comes to an end: some hundred for each turn are usual.
const STEPS: u64 = 50_000_000;

impl ChatTemplate {
    /// Reads the template of a model folder: `chat_template.jinja` where there is one, else `chat_template` of
    /// `tokenizer_config.json` (one string, or a list or a table of named templates of which `default` is taken).
    ///
    /// # Errors
    /// When there is no template, several that could be meant, or one that is empty or not valid.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        Self::of_model(folder, None)
    }

    /// The template of a model folder, or the file `instead` with the folder's special tokens.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn of_model(folder: &Path, instead: Option<&Path>) -> Result<Self> {
        let source = match instead {
            Some(file) => of_file(file)?,
            None => sources::of_folder(folder)?,
        };
        Self::new(
            &source,
            SpecialTokens::read(folder)?.named.into_iter().collect(),
        )
    }

    /// A template from its source, and the special tokens by their name in templates (`bos_token`, ...).
    ///
    /// # Errors
    /// When the template does not parse.
    pub fn new(source: &str, special_tokens: Vec<(String, String)>) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_fuel(Some(STEPS));
        python::set_up(&mut environment);
        environment
            .add_template_owned("chat", python::rewritten(source))
            .map_err(|e| Error::Template(describe(&e)))?;
        Ok(Self {
            environment,
            special_tokens,
        })
    }

    /// The conversation as text. With `add_generation_prompt` it ends where the assistant's answer would begin.
    ///
    /// # Errors
    /// When the template refuses the conversation (for example a system turn it has no place for).
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<String> {
        let specials: minijinja::Value = self
            .special_tokens
            .iter()
            .map(|(name, token)| (name.as_str(), token.as_str()))
            .collect();
        let template = self
            .environment
            .get_template("chat")
            .map_err(|e| Error::Template(describe(&e)))?;
        let given = context! {
            messages => messages,
            add_generation_prompt => add_generation_prompt,
            tools => minijinja::Value::from(()),
            documents => minijinja::Value::from(()),
            ..specials
        };
        // minijinja panics where an empty text is cut backwards (`''[::-1]`).
        guarded(|| template.render(given))
            .ok_or_else(|| {
                Error::Template("the template engine failed on this template".to_owned())
            })?
            .map_err(|e| Error::Template(describe(&e)))
    }
}

/// An answer that no template has in it.
const ANSWER: &str = "what the answer would be";

impl ChatTemplate {
    /// What the template writes before an answer, where a prompt does not end with it: it does nothing for `add_generation_prompt`, so
    /// that a model would learn the header as a part of its answer, and write it there. `None` where there is no such header, or the
    /// conversation has no answer.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn unasked_header(&self, messages: &[Message]) -> Result<Option<String>> {
        let is_answer = |turn: &Message| turn.role == "assistant";
        // A template may refuse a prompt of no turns.
        let Some(place) = messages
            .iter()
            .position(is_answer)
            .filter(|place| *place > 0)
        else {
            return Ok(None);
        };
        let asked = self.render(&messages[..place], true)?;
        if asked != self.render(&messages[..place], false)? {
            return Ok(None);
        }
        // An answer of its own is found where it stands, a short one might stand in the header.
        let mut turns = messages[..place].to_vec();
        turns.push(Message::new("assistant", ANSWER));
        let answered = self.render(&turns, false)?;
        let header = answered.strip_prefix(asked.as_str()).and_then(|turn| {
            let begins = turn.find(ANSWER)?;
            Some(turn[..begins].trim().to_owned())
        });
        Ok(header.filter(|header| !header.is_empty()))
    }
}

/// That a template leaves out what it writes before an answer.
pub(crate) fn unasked(header: &str) -> Problem {
    Problem::failed(format!(
        "the chat template writes `{header}` before an answer, and not where `add_generation_prompt` asks for one: it would be learnt, and written, as a part of every answer"
    ))
    .help("give the base a `chat_template` that ends with it where `add_generation_prompt` is true, or train on everything (`train_on: all`)")
}

/// `tokenizer_config.json` of a folder; null when there is none.
///
/// # Errors
/// When it cannot be read, or is no JSON.
pub fn tokenizer_config(folder: &Path) -> Result<Value> {
    let path = folder.join("tokenizer_config.json");
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| Error::file(&path, e)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(e) => Err(Error::io("read", &path)(e)),
    }
}

/// The template that a file is.
///
/// # Errors
/// When it cannot be read, or there is nothing in it.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let source = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    sources::not_empty(source, &format!("`{}`", path.display()))
}

fn describe(error: &minijinja::Error) -> String {
    match (error.detail(), error.line()) {
        (Some(detail), Some(line)) => format!("{detail} (line {line})"),
        (Some(detail), None) => detail.to_owned(),
        (None, _) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(source: &str, messages: &[Message], generation_prompt: bool) -> Result<String> {
        ChatTemplate::new(source, vec![("bos_token".to_owned(), "<s>".to_owned())])?
            .render(messages, generation_prompt)
    }

    #[test]
    fn a_template_comes_to_an_end_and_to_no_machine_s_memory() {
        for (source, part) in [
            ("{{ 'a'.zfill(99999999999) }}", "a width of 99999999999"),
            ("{{ 'a'.center(9999999999) }}", "a width of 9999999999"),
            ("{{ 'a'|indent(9999999999) }}", "a width of 9999999999"),
            (
                "{{ [1]|tojson(indent=9999999999) }}",
                "a width of 9999999999",
            ),
            (
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
                "fuel",
            ),
        ] {
            let said = render(source, &[Message::new("user", "q")], false).unwrap_err();
            assert!(said.to_string().contains(part), "{source}: {said}");
        }
    }

    #[test]
    fn python_habits_of_real_templates_work() {
        let source = "{{ bos_token }}{%- for m in messages %}\n    {%- if m['role'].startswith('sys') %}{% continue %}{% endif %}\n\
                      [{{ m.role.upper() }}] {{ m.content.strip() | tojson }}\n{% endfor %}\n\
                      {%- if add_generation_prompt and not tools %}[ASSISTANT]{% endif %}";
        let messages = [
            Message::new("system", "x"),
            Message::new("user", "  it's <b>ü</b> \n"),
        ];
        assert_eq!(
            render(source, &messages, true).unwrap(),
            "<s>[USER] \"it's <b>ü</b>\"\n[ASSISTANT]"
        );
    }

    #[test]
    fn a_template_can_refuse_a_conversation() {
        let source = "{{ raise_exception('System role not supported') }}";
        let error = render(source, &[], false).unwrap_err().to_string();
        assert!(error.contains("System role not supported"), "{error}");
    }

    #[test]
    fn dates_are_pinned() {
        let source = "{{ strftime_now('%d %b %Y, %A %H:%M') }}";
        assert_eq!(
            render(source, &[], false).unwrap(),
            "26 Jul 2024, Friday 00:00"
        );
    }

    #[test]
    fn generation_tags_of_trl_templates_are_transparent() {
        let source = "a{%- generation -%} b {%- endgeneration %} c";
        assert_eq!(render(source, &[], false).unwrap(), "ab c");
    }

    #[test]
    fn the_jinja_file_wins_over_the_tokenizer_config() {
        let folder = tempfile::tempdir().unwrap();
        let error = ChatTemplate::from_folder(folder.path()).unwrap_err();
        assert!(error.to_string().contains("neither"), "{error}");
        let config = serde_json::json!({
            "bos_token": {"content": "<B>", "special": true},
            "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ bos_token }}1"}],
        });
        std::fs::write(
            folder.path().join("tokenizer_config.json"),
            config.to_string(),
        )
        .unwrap();
        let rendered = |folder| {
            ChatTemplate::from_folder(folder)
                .unwrap()
                .render(&[], false)
        };
        assert_eq!(rendered(folder.path()).unwrap(), "<B>1");
        std::fs::write(
            folder.path().join("chat_template.jinja"),
            "{{ bos_token }}2",
        )
        .unwrap();
        assert_eq!(rendered(folder.path()).unwrap(), "<B>2");
    }

    #[test]
    fn a_template_without_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("chat_template.jinja");
        let config = r#"{"chat_template": "{{ messages[0].content }}"}"#;
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let error = |instead: Option<&Path>| {
            let template = ChatTemplate::of_model(folder.path(), instead);
            template.unwrap_err().to_string()
        };
        std::fs::write(&own, " \n").unwrap();
        assert!(error(None).contains("chat_template.jinja` is empty"));
        assert!(error(Some(&own)).contains("chat_template.jinja` is empty"));
        std::fs::remove_file(&own).unwrap();
        assert!(ChatTemplate::from_folder(folder.path()).is_ok());
        let config = r#"{"chat_template": ""}"#;
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        assert!(error(None).contains("tokenizer_config.json` is empty"));
    }

    /// transformers takes all of these for templates of the folder, before those of `tokenizer_config.json`.
    #[test]
    fn further_templates_beside_the_folder_may_not_stand_for_another_default() {
        let folder = tempfile::tempdir().unwrap();
        let config = r#"{"chat_template": "1"}"#;
        std::fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
        let further = folder.path().join("additional_chat_templates");
        std::fs::create_dir(&further).unwrap();
        let text = || {
            let template = ChatTemplate::from_folder(folder.path()).map_err(|e| e.to_string())?;
            Ok::<_, String>(template.render(&[], false).unwrap())
        };
        assert_eq!(text().unwrap(), "1");
        std::fs::write(further.join("rag.jinja"), "2").unwrap();
        assert!(text().unwrap_err().contains("`rag`, and no `default`"));
        std::fs::write(folder.path().join("chat_template.jinja"), "3").unwrap();
        assert_eq!(text().unwrap(), "3");
        std::fs::write(further.join("default.jinja"), "3").unwrap();
        assert_eq!(text().unwrap(), "3");
        std::fs::write(further.join("default.jinja"), "4").unwrap();
        assert!(text().unwrap_err().contains("default.jinja"));
    }

    #[test]
    fn two_defaults_in_a_list_have_to_be_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let template = |second: &str| {
            let config = serde_json::json!({"chat_template": [
                {"name": "default", "template": "1"}, {"name": "default", "template": second},
            ]});
            let path = folder.path().join("tokenizer_config.json");
            std::fs::write(path, config.to_string()).unwrap();
            ChatTemplate::from_folder(folder.path())
        };
        assert!(template("1").is_ok());
        let error = template("2").unwrap_err().to_string();
        assert!(error.contains("two templates `default`"), "{error}");
    }

    #[test]
    fn several_templates_need_a_default() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer_config.json");
        let template = |value: serde_json::Value| {
            std::fs::write(
                &path,
                serde_json::json!({"chat_template": value}).to_string(),
            )
            .unwrap();
            ChatTemplate::from_folder(folder.path())?.render(&[], false)
        };
        let table = serde_json::json!({"rag": "no", "default": "yes"});
        assert_eq!(template(table).unwrap(), "yes");
        for without in [
            serde_json::json!({"rag": "no", "tool_use": "no"}),
            serde_json::json!([{"name": "rag", "template": "no"}, {"name": "tool_use", "template": "no"}]),
        ] {
            let error =
                driftgauge_problem::Problem::from(template(without).unwrap_err()).to_string();
            assert!(
                error.contains("`rag`, `tool_use`") && error.contains("`chat_template: FILE`"),
                "{error}"
            );
        }
    }

    /// Expressions whose meaning is minijinja's own, or that print what has no likeness in it (tuples).
    const KNOWN: [&str; 19] = [
        " < 3 ",
        " >= 'A' ",
        "1 < 'a'",
        "1 / 0",
        " ~ ",
        " and 1 ",
        "[:1]",
        "[1:]",
        "[::-1]",
        "items",
        "dictsort",
        "partition",
        "for x in none",
        "(1, 2)",
        "('a',)",
        "()",
        "is defined }}",
        "sameas",
        "{1: 'a'",
    ];

    /// Every conversation and every expression of `tests/fixtures/templates` against Jinja2.
    #[test]
    fn templates_render_as_jinja2_renders_them() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/templates");
        let read = |path: &Path| std::fs::read_to_string(path).unwrap();
        let (mut templates, mut expressions, mut refused) = (0, 0, 0);
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            let file: Value = serde_json::from_str(&read(&path)).unwrap();
            let own = std::fs::read_to_string(path.with_extension("jinja")).ok();
            for case in file["cases"].as_array().unwrap() {
                let source = own.as_deref().or(case["template"].as_str()).unwrap();
                let messages = case.get("messages").unwrap_or(&file["messages"]);
                let messages: Vec<Message> = serde_json::from_value(messages.clone()).unwrap();
                let prompt = case["add_generation_prompt"].as_bool().unwrap_or(false);
                let specials = file["special_tokens"].as_object().into_iter().flatten();
                let specials = specials
                    .filter_map(|(name, token)| Some((name.clone(), token.as_str()?.to_owned())))
                    .collect();
                let ours = ChatTemplate::new(source, specials)
                    .and_then(|template| template.render(&messages, prompt));
                let theirs = case["text"].as_str();
                if own.is_some() {
                    templates += 1;
                    assert_eq!(
                        ours.as_deref().ok(),
                        theirs,
                        "{}: {messages:?}",
                        path.display()
                    );
                    continue;
                }
                expressions += 1;
                match (&ours, theirs) {
                    (Ok(ours), Some(theirs)) if ours == theirs => {}
                    (Err(_), None) => {}
                    // What we cannot do as Jinja2 does is refused.
                    (Err(_), Some(_)) => refused += 1,
                    _ if KNOWN.iter().any(|form| source.contains(form)) => {}
                    _ => panic!("{source}: {ours:?} is not {theirs:?}"),
                }
            }
        }
        assert!(
            templates > 800 && expressions > 2500 && refused < 90,
            "{templates} {expressions} {refused}"
        );
    }
}
