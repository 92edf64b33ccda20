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
    /// Every call, for tables and tests.
    pub const ALL: [Self; 17] = [
        Self::ChatCompletions,
        Self::Completions,
        Self::Responses,
        Self::Embeddings,
        Self::AudioTranscriptions,
        Self::AudioTranslations,
        Self::AudioSpeech,
        Self::ImagesGenerations,
        Self::Messages,
        Self::MessagesCountTokens,
        Self::GenerateContent,
        Self::StreamGenerateContent,
        Self::EmbedContent,
        Self::BatchEmbedContents,
        Self::GeminiCountTokens,
        Self::ModelList,
        Self::ModelOne,
    ];

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
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Responses => "responses",
            Self::Embeddings => "embeddings",
            Self::AudioTranscriptions => "audio_transcriptions",
            Self::AudioTranslations => "audio_translations",
            Self::AudioSpeech => "audio_speech",
            Self::ImagesGenerations => "images_generations",
            Self::Messages => "messages",
            Self::MessagesCountTokens => "messages_count_tokens",
            Self::GenerateContent => "generate_content",
            Self::StreamGenerateContent => "stream_generate_content",
            Self::EmbedContent => "embed_content",
            Self::BatchEmbedContents => "batch_embed_contents",
            Self::GeminiCountTokens => "gemini_count_tokens",
            Self::ModelList => "model_list",
            Self::ModelOne => "model_one",
        }
    }

    /// What stands after `/v1` or `/v1beta`, for the calls whose path carries no model.
    pub(super) fn fixed_path(self) -> Option<&'static str> {
        Some(match self {
            Self::ChatCompletions => "/chat/completions",
            Self::Completions => "/completions",
            Self::Responses => "/responses",
            Self::Embeddings => "/embeddings",
            Self::AudioTranscriptions => "/audio/transcriptions",
            Self::AudioTranslations => "/audio/translations",
            Self::AudioSpeech => "/audio/speech",
            Self::ImagesGenerations => "/images/generations",
            Self::Messages => "/messages",
            Self::MessagesCountTokens => "/messages/count_tokens",
            Self::ModelList => "/models",
            _ => return None,
        })
    }

    /// The verb after the colon of a Gemini path.
    pub(super) fn verb(self) -> Option<&'static str> {
        Some(match self {
            Self::GenerateContent => "generateContent",
            Self::StreamGenerateContent => "streamGenerateContent",
            Self::EmbedContent => "embedContent",
            Self::BatchEmbedContents => "batchEmbedContents",
            Self::GeminiCountTokens => "countTokens",
            _ => return None,
        })
    }
}
