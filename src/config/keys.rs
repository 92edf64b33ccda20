//! Every key of the configuration, described once: what it holds, its bounds, its default and what it is for. From here
//! come the check for unknown keys, the words of problems, the defaults and the JSON Schema.
//!
//! Owns the list. Must not know how a file is walked or what other rooms make of a value.

use super::kind::{KeySpec, TableSpec, ValueKind, described};
use super::presets::PRESETS;
use super::words::{DISCONNECT_WORDS, METERS, OUTAGE_WORDS, SCOPES, WINDOWS};
use crate::quota::MAX_AMOUNT;
use ValueKind::{Day, Flag, List, Map, Number, Secret, Size, Span, Table, Tables, Text, Whole, Word};

/// What a name of a plan, limit, group or issuer may be.
pub(super) const NAME_ALLOWED: &str = "1 to 64 of letters, digits, `_`, `.`, `-`";
/// What a name of an upstream or webhook may be: it is also a metric label.
pub(super) const LABEL_ALLOWED: &str = "1 to 64 of lower-case letters, digits, `_`, `-`";
/// The one group that need not be there: without it no model is premium.
pub(super) const PREMIUM_GROUP_DEFAULT: &str = "premium";

fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

const HEADER: ValueKind = Text("the name of a header, such as \"x-tollgate-task\"");
const PATH: ValueKind = Text("a path that begins with `/`, such as \"/v1\"");
const FILE: ValueKind = Text("the path of a file");
const MODEL: ValueKind = Text("the name of one model, without `*`");
const NETWORK: ValueKind = Text("a network, such as \"10.0.0.0/8\"");
const PATTERN: ValueKind = Text("a model's name, `*` standing for any run of characters");
const PATTERNS: ValueKind = List("at least one pattern, such as \"*\"", &PATTERN);
const MODELS: ValueKind = List("at least one pattern or group, such as \"*\"", &PATTERN);
const CLAIM: ValueKind = Text("the dotted path of a claim, such as \"sub\"");
/// No model costs a hundredth of it; a price beyond is a slip of the unit.
const PRICE: ValueKind = Number("US dollars per million tokens, 0 to 100000");

/// The whole file.
pub(super) static ROOT: ValueKind = Table(&TableSpec {
    required: &["quota", "plans", "upstreams"],
    later: &[],
    keys: &[described! {
        /// Where the gateway listens and whom it believes.
        server: Table(&SERVER);
        /// Where the gateway keeps what it counts.
        storage: Table(&STORAGE);
        /// The rules that hold for all plans, and who gets which plan.
        quota: Table(&QUOTA);
        /// Sets of models by name, used as `@name` in plans and limits.
        groups: Map(&PATTERNS);
        /// Plans by name: the models they may use, and their limits.
        plans: Map(&Table(&PLAN));
        /// Who signs the users' tokens; several may stand.
        issuers: Tables(&ISSUER);
        /// Chat apps and other clients that mark their calls, or speak for their users; 32 at most.
        apps: Tables(&APP);
        /// Where requests go; at least one.
        upstreams: Tables(&UPSTREAM);
        /// Other names for models, whatever upstream serves them: the name to the model.
        rewrite: Map(&MODEL);
        /// Models that stand in when every upstream of a model has failed: the model to up to 3 others, best first.
        fallback: Map(&List("at least one model", &MODEL));
        /// What models cost, for the ledger and the metrics.
        prices: Table(&PRICES);
        /// Who is told when a total reaches a threshold (`alert`) of its limit; 16 at most.
        webhooks: Tables(&WEBHOOK);
    }],
});

static SERVER: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// Where clients connect: the LLM APIs, `/api`, `/dashboard`.
        listen: Text("an IP address and a port, such as \"0.0.0.0:8080\"") => "0.0.0.0:8080";
        /// Where operators connect: `/metrics`, `/health/live`, `/health/ready`. Never the public port.
        admin_listen: Text("an IP address and a port, such as \"0.0.0.0:8080\"") => "127.0.0.1:9090";
        // less would refuse ordinary prompts, more would let one caller fill the memory
        /// The largest request body; a larger one is answered 413.
        max_body: Size(1 << 10, 1 << 30) => "32MiB";
        /// Networks whose `X-Forwarded-For` is believed.
        trusted_proxies: List("", &NETWORK) => "[]";
        /// Web apps that may call the gateway from a browser; `*` is every origin.
        cors_origins: List("", &Text("an origin, such as \"https://chat.example.org\"")) => "[]";
    }],
)
.with_later(&["tls", "on_disconnect"]);

static STORAGE: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// The folder of the journal, and of the SQLite ledger when there is no `database_url`.
        data_dir: Text("the path of a folder") => "data";
        /// The ledger's PostgreSQL; empty: SQLite in `data_dir`.
        database_url: Secret("a URL that begins with one of postgresql, postgres");
        /// A copy of the ledger's database, from which history and analytics are read.
        database_replica_url: Secret("a URL that begins with one of postgresql, postgres");
        /// The counters' Redis or Valkey; empty: in memory, for one gateway only.
        redis_url: Secret("a URL that begins with one of redis, rediss, redis-cluster, rediss-cluster, \
            redis-sentinel, rediss-sentinel");
        /// The password for `redis_url`, where it has none.
        redis_password: Secret("a password");
        /// Authorities that sign Redis's certificate (PEM), instead of the public ones.
        redis_ca_file: FILE;
        /// Create and upgrade tables at start?
        migrate: Flag => "true";
    }],
);

static QUOTA: TableSpec = TableSpec::new(
    &["default_plan"],
    &[described! {
        /// Where a month, week or day begins.
        timezone: Text("an IANA time zone, such as \"Europe/Berlin\"") => "UTC";
        /// The plan of a verified user whose token names none.
        default_plan: Text("the name of a plan");
        /// The plan of a caller without credential; without the key they are answered 401.
        anonymous_plan: Text("the name of a plan");
        /// API keys that mean "no credential", for SDKs that insist on one.
        anonymous_keys: List("", &Text("a literal API key")) => "[]";
        /// What decides while the counters are out of reach: the ledger, nobody passes, everybody passes (recorded).
        on_outage: Word(|| words(&OUTAGE_WORDS), &[]) => "ledger";
        // shorter than the renewal of a long stream takes, or longer than a day locked out by our fault, is of no use
        /// After this the hold of a crashed gateway is free again.
        lease: Span(10_000, DAY_MS) => "15m";
        /// The group whose models count as premium.
        premium_group: Text("the name of a group") => "premium";
    }],
);

static PLAN: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// The plan whose models and limits this one takes over; a limit of the same name replaces.
        extends: Text("the name of a plan");
        /// The models that the plan may use at all; any other is answered 403.
        models: MODELS;
        /// What a request must pass: every limit that covers its model.
        limits: Tables(&LIMIT);
    }],
);

static LIMIT: TableSpec = TableSpec::new(
    &["name", "meter", "max"],
    &[described! {
        /// The name; a user who changes the plan keeps what was used under the same one.
        name: Text(NAME_ALLOWED);
        /// What is counted: messages, calls that apps make by themselves, or requests open at once.
        meter: Word(|| words(&METERS), &["input_tokens", "output_tokens", "tokens", "cost_usd"]);
        /// The models that the limit covers; without the key, all.
        models: MODELS;
        /// Whose messages count together.
        scope: Word(|| words(&SCOPES), &["key"]) => "user";
        /// How many; 0 blocks.
        max: Whole(0, MAX_AMOUNT);
        /// Over what time; not beside `in_flight`.
        per: Word(|| words(&WINDOWS), &[]);
        /// Shares of the limit at which webhooks are told, 8 at most.
        alert: List("", &Number("a share of the limit from 0.001 to 1, in steps of 0.001"));
    }],
)
.with_later(&["rollover", "shadow", "anchor"]);

/// Also those of an app that signs tokens.
pub(super) const ISSUER_KEYS: &[KeySpec] = described! {
    /// The name, in logs and in `callers`.
    name: Text(NAME_ALLOWED);
    /// The algorithms that tokens may be signed with.
    algorithms: List("HS256, RS256, PS256, ES256, ES384, EdDSA",
        &Text("HS256, RS256, PS256, ES256, ES384, EdDSA"));
    /// The secret that HS256 tokens are signed with.
    secret: Secret("at least 32 bytes");
    /// A public key in PEM.
    public_key_file: FILE;
    /// A JWK set in a file.
    jwks_file: FILE;
    /// A JWK set behind a URL.
    jwks_url: Text("an `https://` (or `http://`) URL with a host and no user name");
    // fetching more often only loads the provider; more seldom, a new key is found by its `kid` alone
    /// How often the URL is fetched.
    jwks_refresh: Span(MINUTE_MS, DAY_MS) => "10m";
    // a key that the provider withdrew must not serve for longer
    /// How long the last good keys serve when the URL fails.
    jwks_stale_limit: Span(MINUTE_MS, 30 * DAY_MS) => "24h";
    /// The `iss` that tokens must carry.
    issuer: Text("a text");
    /// The `aud` that tokens must carry.
    audience: Text("a text");
    /// The header that carries the tokens, if not the usual ones.
    header: Text("the name of a header, such as \"authorization\"");
    /// Where the claims stand in a token.
    claims: Table(&CLAIMS);
    // more would make `exp` meaningless
    /// How far the clocks may differ.
    leeway: Span(0, 10 * MINUTE_MS) => "30s";
    // from a second, below which no token can be used, to a year, above which the bound guards nothing
    /// How long a token may be valid at most.
    max_lifetime: Span(1_000, 31_557_600_000);
    /// The `typ` that tokens must carry.
    token_type: Text("a text");
};

static ISSUER: TableSpec = TableSpec::new(&["name", "algorithms"], &[ISSUER_KEYS]);

static CLAIMS: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// The user's id.
        user: CLAIM => "sub";
        /// The plan's name.
        plan: CLAIM => "plan";
        /// The team's id.
        team: CLAIM => "team";
        /// The role, or a list of roles.
        role: CLAIM => "role";
    }],
);

static APP: TableSpec = TableSpec {
    required: &[],
    later: &[],
    keys: &[
        ISSUER_KEYS,
        described! {
            /// An app whose habits are known: fills what it is known to send. Each other key replaces one of the preset's.
            preset: Word(|| PRESETS.iter().map(|preset| preset.name).collect(), &[]);
            /// The issuers whose users' calls the app makes.
            callers: List("at least one name of an issuer", &Text("the name of one of the `[[issuers]]`, or the app's own"));
            /// Headers that tell the class of a call.
            task_headers: List("", &HEADER);
            /// Classes of calls that the app makes by itself: no messages of the user.
            background: List("", &Text("the name of a class of calls"));
            /// The header that names the message that a call belongs to.
            message_id_header: HEADER;
            /// Is that header believed?
            trusted: Flag => "false";
            /// The key that an app shows which names its users in plain headers.
            key: Secret("at least 24 bytes of visible ASCII");
            /// The networks that such an app connects from.
            peers: List("at least one network, such as \"10.0.0.7/32\"", &NETWORK);
            /// The header that names the user.
            user_header: HEADER;
            /// The header that names the plan.
            plan_header: HEADER;
            /// The header that names the team.
            team_header: HEADER;
        },
    ],
};

static UPSTREAM: TableSpec = TableSpec::new(
    &["name", "base_url", "models", "serves"],
    &[described! {
        /// The name, in logs and metrics.
        name: Text(LABEL_ALLOWED);
        /// The server's address; a path in it stands before those of `serves`.
        base_url: Text("an `http://` or `https://` URL with a host, and no user name, query or fragment");
        /// The key that is sent there, instead of the caller's.
        api_key: Secret("visible ASCII characters");
        /// The models that it has; the pattern that says most of a model's name wins.
        models: PATTERNS;
        /// Dialect (openai, anthropic, gemini) to the path prefix that replaces `/v1` or `/v1beta`.
        serves: Map(&PATH);
        /// How long the gateway waits.
        timeouts: Table(&TIMEOUTS);
        // beyond this, priorities say what is meant
        /// The share among upstreams of one priority.
        weight: Whole(1, 1_000) => "1";
        /// Lower numbers are asked first.
        priority: Whole(0, 1_000) => "0";
        // more requests at once than one process can hold are no cap
        /// Requests at once; more go to the next upstream, or are answered 503.
        max_concurrent: Whole(1, 1_000_000);
        /// A client leaves in mid-answer: stop the upstream, or read on for the exact usage.
        on_disconnect: Word(|| words(&DISCONNECT_WORDS), &[]) => "stop";
        /// How far is read on; only beside `on_disconnect = "drain"`.
        drain: Table(&DRAIN);
        /// Authorities that sign its certificate (PEM), instead of the public ones.
        ca_file: FILE;
        /// Ask the server whether it is well; it is passed over while it is not.
        health_check: Table(&HEALTH_CHECK);
        /// Other names for its models: the name to the model.
        rewrite: Map(&MODEL);
    }],
);

static TIMEOUTS: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// Until a connection stands.
        connect: Span(100, MINUTE_MS) => "5s";
        // no provider thinks longer than an hour before it begins to answer
        /// Until the answer begins.
        first_byte: Span(1_000, HOUR_MS) => "300s";
        // providers send a sign of life at least every minute
        /// Between two pieces of an answer.
        idle: Span(1_000, HOUR_MS) => "120s";
    }],
);

static DRAIN: TableSpec = TableSpec::new(
    &[],
    &[described! {
        // a long stream has some hundred KiB: enough for all but a runaway
        /// How much is read on at most.
        max_bytes: Size(1, 1 << 30) => "1MiB";
        // most answers are over in half a minute, and what runs on costs money
        /// For how long at most.
        max_time: Span(1, HOUR_MS) => "30s";
    }],
);

static HEALTH_CHECK: TableSpec = TableSpec::new(
    &["path"],
    &[described! {
        /// What is asked for, with GET and without a key.
        path: PATH;
        /// How often.
        every: Span(1_000, HOUR_MS) => "10s";
    }],
);

static PRICES: TableSpec = TableSpec::new(
    &[],
    &[described! {
        /// The list of prices; without the key, the one that is built in.
        file: FILE;
        /// The price of models that the list does not name.
        default: Table(&DEFAULT_PRICE);
    }],
);

static DEFAULT_PRICE: TableSpec = TableSpec::new(&["input", "output"], &[PRICE_KEYS]);

const PRICE_KEYS: &[KeySpec] = described! {
    /// US dollars per million input tokens.
    input: PRICE;
    /// US dollars per million output tokens.
    output: PRICE;
    /// US dollars per million input tokens that the provider had cached; without the key, as `input`.
    cached: PRICE;
};

/// A file of prices: not the configuration, but read alike.
pub(super) static PRICE_LIST: ValueKind = Table(&TableSpec {
    required: &[],
    later: &[],
    keys: &[described! {
        /// The prices, one for a model and a day.
        prices: Tables(&PRICE_LINE);
    }],
});

static PRICE_LINE: TableSpec = TableSpec {
    required: &["models", "input", "output"],
    later: &[],
    keys: &[
        described! {
            /// The models.
            models: PATTERNS;
        },
        PRICE_KEYS,
        described! {
            /// The first day of the price; without the key, always.
            valid_from: Day;
        },
    ],
};

static WEBHOOK: TableSpec = TableSpec::new(
    &["name", "url"],
    &[described! {
        /// The name, in logs and metrics.
        name: Text(LABEL_ALLOWED);
        /// Where messages are sent.
        url: Text("an `https://` URL with a host and no user name");
        /// What messages are signed with.
        secret: Secret("`whsec_` and the base64 of 24 to 64 bytes");
        /// The secret before it, while receivers change over.
        previous_secret: Secret("`whsec_` and the base64 of 24 to 64 bytes");
        // a receiver that needs longer should answer first and work then
        /// How long a receiver may take.
        timeout: Span(1_000, MINUTE_MS) => "15s";
        /// May the receiver be in a private network, and without TLS?
        allow_private: Flag => "false";
    }],
);
