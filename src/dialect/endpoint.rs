//! The list of calls that the gateway serves: all rows of the contract's table of paths, and nothing else.
//! It knows names and shapes of calls; how a path leads to one is `route`.

/// One call of a client API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    ChatCompletions,
    /// `POST /v1/completions`
    Completions,
    /// `POST /v1/responses`
    Responses,
    /// `POST /v1/embeddings`
    Embeddings,
    /// `POST /v1/audio/transcriptions`
    AudioTranscriptions,
    /// `POST /v1/audio/translations`
    AudioTranslations,
    /// `POST /v1/audio/speech`
    AudioSpeech,
    /// `POST /v1/images/generations`
    ImagesGenerations,
    /// `POST /v1/messages`
    Messages,
    /// `POST /v1/messages/count_tokens`
    MessagesCountTokens,
    /// `POST …/models/{model}:generateContent`
    GenerateContent,
    /// `POST …/models/{model}:streamGenerateContent`
    StreamGenerateContent,
    /// `POST …/models/{model}:embedContent`
    EmbedContent,
    /// `POST …/models/{model}:batchEmbedContents`
    BatchEmbedContents,
    /// `POST …/models/{model}:countTokens`
    GeminiCountTokens,
    /// `GET …/models`, answered by the gateway itself
    ModelList,
    /// `GET …/models/{id}`, answered by the gateway itself
    ModelOne,
}

/// What a call's request body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// One JSON object.
    Json,
    /// `multipart/form-data` with a file.
    Multipart,
    /// No body.
    None,
}

impl Endpoint {
    /// Every call in the order of the enum, with its label in metrics and logs and what stands after `/v1` or `/v1beta`;
    /// from the colon on, or nothing, where the path names the model before it.
    const ROWS: [(Self, &'static str, &'static str); 17] = [
        (Self::ChatCompletions, "chat_completions", "/chat/completions"),
        (Self::Completions, "completions", "/completions"),
        (Self::Responses, "responses", "/responses"),
        (Self::Embeddings, "embeddings", "/embeddings"),
        (Self::AudioTranscriptions, "audio_transcriptions", "/audio/transcriptions"),
        (Self::AudioTranslations, "audio_translations", "/audio/translations"),
        (Self::AudioSpeech, "audio_speech", "/audio/speech"),
        (Self::ImagesGenerations, "images_generations", "/images/generations"),
        (Self::Messages, "messages", "/messages"),
        (Self::MessagesCountTokens, "messages_count_tokens", "/messages/count_tokens"),
        (Self::GenerateContent, "generate_content", ":generateContent"),
        (Self::StreamGenerateContent, "stream_generate_content", ":streamGenerateContent"),
        (Self::EmbedContent, "embed_content", ":embedContent"),
        (Self::BatchEmbedContents, "batch_embed_contents", ":batchEmbedContents"),
        (Self::GeminiCountTokens, "gemini_count_tokens", ":countTokens"),
        (Self::ModelList, "model_list", "/models"),
        (Self::ModelOne, "model_one", ""),
    ];

    /// Every call.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ROWS.into_iter().map(|(endpoint, ..)| endpoint)
    }

    /// Whether a 2xx answer is a message that counts. The others only need an authenticated caller.
    pub fn metered(self) -> bool {
        !matches!(
            self,
            Self::MessagesCountTokens | Self::GeminiCountTokens | Self::ModelList | Self::ModelOne
        )
    }

    /// Whether the gateway answers by itself, with no upstream.
    pub fn answered_here(self) -> bool {
        matches!(self, Self::ModelList | Self::ModelOne)
    }

    /// What the request carries.
    pub fn body(self) -> Body {
        match self {
            Self::AudioTranscriptions | Self::AudioTranslations => Body::Multipart,
            Self::ModelList | Self::ModelOne => Body::None,
            _ => Body::Json,
        }
    }

    /// The label in metrics and logs.
    pub fn as_str(self) -> &'static str {
        Self::ROWS[self as usize].1
    }

    /// What ends the call's path: `/…` all that follows the version, `:…` the verb after a model's name, or nothing.
    pub(super) fn path_end(self) -> &'static str {
        Self::ROWS[self as usize].2
    }
}
