//! What the stub understands of a prompt, in any dialect: its texts, images, tools and tool results. The dialects name the
//! same things so differently that one walk over all their names serves them all. It must not know how an answer looks.

use serde_json::{Map, Value};

/// Bytes of text that count as one input token: the usual rule of thumb for English, and the same on every run.
const BYTES_PER_TOKEN: u64 = 4;

/// How deep the walk goes. Real prompts nest five or six levels; the rest is not read.
const MAX_DEPTH: usize = 16;

/// Where the three dialects keep what was said.
const ROOTS: [&str; 9] = [
    "system",
    "instructions",
    "systemInstruction",
    "messages",
    "input",
    "prompt",
    "contents",
    "content",
    "requests",
];

/// A prompt, read once.
#[derive(Debug, Default)]
pub(super) struct Prompt {
    /// The last text in it.
    pub last_text: String,
    pub images: u64,
    /// The conversation already has the answer of a tool.
    pub has_tool_result: bool,
    pub tool: Option<Tool>,
    text_bytes: u64,
    token_ids: u64,
}

/// The first tool the caller offers.
#[derive(Clone, Debug)]
pub(super) struct Tool {
    pub name: String,
    /// Arguments that satisfy the tool's schema, as JSON text.
    pub arguments: String,
}

impl Prompt {
    pub fn read(body: &Value) -> Self {
        let mut prompt = Self::default();
        for root in ROOTS {
            if let Some(value) = body.get(root) {
                prompt.take(value, 0);
            }
        }
        // of a form: a file's bytes count like text
        prompt.text_bytes += body.get("file_bytes").and_then(Value::as_u64).unwrap_or(0);
        prompt.tool = body.get("tools").and_then(first_tool);
        prompt
    }

    /// Input tokens: a quarter of the text's bytes, rounded up, and one for each token id of an embeddings call. At least one.
    pub fn tokens(&self) -> u64 {
        (self.text_bytes.div_ceil(BYTES_PER_TOKEN) + self.token_ids).max(1)
    }

    fn take(&mut self, value: &Value, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        match value {
            Value::String(text) => self.say(text),
            Value::Array(items) => items.iter().for_each(|item| self.take(item, depth + 1)),
            Value::Object(part) => self.take_part(part, depth),
            Value::Number(_) => self.token_ids += 1,
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn take_part(&mut self, part: &Map<String, Value>, depth: usize) {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or("");
        if matches!(kind, "image_url" | "input_image" | "image")
            || has_any(part, ["inlineData", "inline_data", "fileData", "file_data"])
        {
            self.images += 1;
            return;
        }
        if matches!(kind, "tool_result" | "function_call_output")
            || part.get("role").and_then(Value::as_str) == Some("tool")
            || has_any(part, ["functionResponse", "function_response"])
        {
            self.has_tool_result = true;
        }
        if let Some(text) = part.get("text").and_then(Value::as_str) {
            self.say(text);
        }
        for inner in ["content", "parts"] {
            if let Some(value) = part.get(inner) {
                self.take(value, depth + 1);
            }
        }
    }

    fn say(&mut self, text: &str) {
        self.text_bytes += text.len() as u64;
        text.clone_into(&mut self.last_text);
    }
}

fn has_any<const N: usize>(part: &Map<String, Value>, names: [&str; N]) -> bool {
    names.iter().any(|name| part.contains_key(*name))
}

/// `OpenAI` chat nests name and schema in `function`, Responses and Anthropic have them flat, Gemini in
/// `functionDeclarations`. Gemini takes each name in camel and in snake case (proto JSON), and its SDKs send both.
fn first_tool(tools: &Value) -> Option<Tool> {
    let first = tools.get(0)?;
    let declaration = first
        .get("function")
        .or_else(|| first.pointer("/functionDeclarations/0"))
        .or_else(|| first.pointer("/function_declarations/0"))
        .unwrap_or(first);
    let schema = ["parameters", "input_schema", "parametersJsonSchema", "parameters_json_schema"]
        .iter()
        .find_map(|key| declaration.get(key))
        .unwrap_or(&Value::Null);
    Some(Tool {
        name: declaration.get("name")?.as_str()?.to_owned(),
        arguments: Value::Object(arguments(schema)).to_string(),
    })
}

/// One value for each required property (for all of them when none is marked).
fn arguments(schema: &Value) -> Map<String, Value> {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Map::new() };
    let required: Vec<&str> = schema
        .get("required")
        .and_then(Value::as_array)
        .map(|names| names.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default();
    properties
        .iter()
        .filter(|(name, _)| required.is_empty() || required.contains(&name.as_str()))
        .map(|(name, property)| (name.clone(), of_type(property)))
        .collect()
}

fn of_type(property: &Value) -> Value {
    if let Some(first) = property.get("enum").and_then(|values| values.get(0)) {
        return first.clone();
    }
    // Gemini writes types in capitals.
    match property.get("type").and_then(Value::as_str).map(str::to_ascii_lowercase).as_deref() {
        Some("string") => Value::from("stub"),
        Some("number" | "integer") => Value::from(1),
        Some("boolean") => Value::from(true),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => Value::Object(arguments(property)),
        _ => Value::Null,
    }
}
