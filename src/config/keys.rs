//! Every key of the configuration, described once: what it holds, its bounds and words, its default and what it is for.
//! From here come the check for unknown keys, the words of problems, the defaults and the JSON Schema.
//!
//! Owns the list. Must not know how a file is walked or what other rooms make of a value.

use super::kind::{KeySpec, TableSpec, ValueKind, described, tables};
use super::presets::PRESETS;
use crate::quota::{Calendar, MAX_AMOUNT, Meter, OnOutage, Rate, Scope, Window};
use ValueKind::{Day, Flag, List, Map, Number, Secret, Size, Span, Table, Tables, Text, Whole, Word};

/// What a name of a plan, limit, group or issuer may be.
pub(super) const NAME_ALLOWED: &str = "1 to 64 of letters, digits, `_`, `.`, `-`";
/// What a name of an upstream or webhook may be: it is also a metric label.
pub(super) const LABEL_ALLOWED: &str = "1 to 64 of lower-case letters, digits, `_`, `-`";
/// What a name of a model may be, where no pattern is meant.
pub(super) const MODEL_ALLOWED: &str = "the name of one model, without `*`";
/// What a secret of a webhook may be.
pub(super) const WEBHOOK_SECRET: &str = "`whsec_` and the base64 of 24 to 64 bytes";
/// The one group that need not be there: without it no model is premium.
pub(super) const PREMIUM_GROUP_DEFAULT: &str = "premium";

pub(super) const OUTAGE_WORDS: [(&str, OnOutage); 3] =
    [("ledger", OnOutage::Ledger), ("deny", OnOutage::Deny), ("allow", OnOutage::Allow)];
pub(super) const METERS: [(&str, Meter); 3] =
    [("messages", Meter::Messages), ("background", Meter::Background), ("in_flight", Meter::InFlight)];
pub(super) const SCOPES: [(&str, Scope); 2] = [("user", Scope::User), ("team", Scope::Team)];
pub(super) const WINDOWS: [(&str, Window); 7] = [
    ("second", Window::Rate(Rate::Second)),
    ("minute", Window::Rate(Rate::Minute)),
    ("hour", Window::Calendar(Calendar::Hour)),
    ("day", Window::Calendar(Calendar::Day)),
    ("week", Window::Calendar(Calendar::Week)),
    ("month", Window::Calendar(Calendar::Month)),
    ("year", Window::Calendar(Calendar::Year)),
];
/// What happens upstream when a client leaves: is the answer read on?
pub(super) const DISCONNECT_WORDS: [(&str, bool); 2] = [("stop", false), ("drain", true)];
/// The client APIs, by the names that `serves` goes by.
pub(super) const DIALECTS: [&str; 3] = ["openai", "anthropic", "gemini"];
/// Where an issuer's keys may come from: exactly one of them stands in it.
pub(super) const KEY_SOURCES: [&str; 5] =
    ["secret", "secret_file", "public_key_file", "jwks_file", "jwks_url"];

fn words<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

const HEADER: ValueKind = Text("the name of a header, such as \"x-tollgate-task\"");
const PATH: ValueKind = Text("a path that begins with `/`, such as \"/v1\"");
const FILE: ValueKind = Text("the path of a file");
const MODEL: ValueKind = Text(MODEL_ALLOWED);
const ADDRESS: ValueKind = Text("an IP address and a port, such as \"0.0.0.0:8080\"");
const DATABASE: ValueKind = Secret("a URL that begins with one of postgresql, postgres");
const PLAN_NAME: ValueKind = Text("the name of a plan");
const ALGORITHMS: &str = "HS256, RS256, PS256, ES256, ES384, EdDSA";
const NETWORK: ValueKind = Text("a network, such as \"10.0.0.0/8\"");
const PATTERN: ValueKind = Text("a model's name, `*` standing for any run of characters");
const PATTERNS: ValueKind = List("at least one pattern, such as \"*\"", &PATTERN);
const MODELS: ValueKind = List("at least one pattern or group, such as \"*\"", &PATTERN);
const CLAIM: ValueKind = Text("the dotted path of a claim, such as \"sub\"");
/// No model costs a hundredth of it; a price beyond is a slip of the unit.
const PRICE: ValueKind = Number("US dollars per million tokens, 0 to 100000");

/// Also those of an app that signs tokens.
pub(super) const ISSUER_KEYS: &[KeySpec] = described! {
    /// The name, in logs and in `callers`.
    name: Text(NAME_ALLOWED);
    /// The algorithms that tokens may be signed with.
    algorithms: List(ALGORITHMS, &Text(ALGORITHMS));
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

const PRICE_KEYS: &[KeySpec] = described! {
    /// US dollars per million input tokens.
    input: PRICE;
    /// US dollars per million output tokens.
    output: PRICE;
    /// US dollars per million input tokens that the provider had cached; without the key, as `input`.
    cached: PRICE;
};

tables! {
    /// The whole file.
    ROOT requires ["quota", "plans", "upstreams"] = {
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
    }

    SERVER later ["tls", "on_disconnect"] = {
        /// Where clients connect: the LLM APIs, `/api`, `/dashboard`.
        listen: ADDRESS => "0.0.0.0:8080";
        /// Where operators connect: `/metrics`, `/health/live`, `/health/ready`. Never the public port.
        admin_listen: ADDRESS => "127.0.0.1:9090";
        // less would refuse ordinary prompts, more would let one caller fill the memory
        /// The largest request body; a larger one is answered 413.
        max_body: Size(1 << 10, 1 << 30) => "32MiB";
        /// Networks whose `X-Forwarded-For` is believed.
        trusted_proxies: List("", &NETWORK) => "[]";
        /// Web apps that may call the gateway from a browser; `*` is every origin.
        cors_origins: List("", &Text("an origin, such as \"https://chat.example.org\"")) => "[]";
    }

    STORAGE = {
        /// The folder of the journal, and of the SQLite ledger when there is no `database_url`.
        data_dir: Text("the path of a folder") => "data";
        /// The ledger's PostgreSQL; empty: SQLite in `data_dir`.
        database_url: DATABASE;
        /// A copy of the ledger's database, from which history and analytics are read.
        database_replica_url: DATABASE;
        /// The counters' Redis or Valkey; empty: in memory, for one gateway only.
        redis_url: Secret("a URL that begins with one of redis, rediss, redis-cluster, rediss-cluster, \
            redis-sentinel, rediss-sentinel");
        /// The password for `redis_url`, where it has none.
        redis_password: Secret("a password");
        /// Authorities that sign Redis's certificate (PEM), instead of the public ones.
        redis_ca_file: FILE;
        /// Create and upgrade tables at start?
        migrate: Flag => "true";
    }

    QUOTA requires ["default_plan"] = {
        /// Where a month, week or day begins.
        timezone: Text("an IANA time zone, such as \"Europe/Berlin\"") => "UTC";
        /// The plan of a verified user whose token names none.
        default_plan: PLAN_NAME;
        /// The plan of a caller without credential; without the key they are answered 401.
        anonymous_plan: PLAN_NAME;
        /// API keys that mean "no credential", for SDKs that insist on one.
        anonymous_keys: List("", &Text("a literal API key")) => "[]";
        /// What decides while the counters are out of reach: the ledger, nobody passes, everybody passes (recorded).
        on_outage: Word(|| words(&OUTAGE_WORDS), &[]) => "ledger";
        // shorter than the renewal of a long stream takes, or longer than a day locked out by our fault, is of no use
        /// After this the hold of a crashed gateway is free again.
        lease: Span(10_000, DAY_MS) => "15m";
        /// The group whose models count as premium.
        premium_group: Text("the name of a group") => "premium";
    }

    PLAN = {
        /// The plan whose models and limits this one takes over; a limit of the same name replaces.
        extends: PLAN_NAME;
        /// The models that the plan may use at all; any other is answered 403.
        models: MODELS;
        /// What a request must pass: every limit that covers its model.
        limits: Tables(&LIMIT);
    }

    LIMIT requires ["name", "meter", "max"] later ["rollover", "shadow", "anchor"] = {
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
    }

    ISSUER requires ["name", "algorithms"] = ISSUER_KEYS

    CLAIMS = {
        /// The user's id.
        user: CLAIM => "sub";
        /// The plan's name.
        plan: CLAIM => "plan";
        /// The team's id.
        team: CLAIM => "team";
        /// The role, or a list of roles.
        role: CLAIM => "role";
    }

    UPSTREAM requires ["name", "base_url", "models", "serves"] = {
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
    }

    TIMEOUTS = {
        /// Until a connection stands.
        connect: Span(100, MINUTE_MS) => "5s";
        // no provider thinks longer than an hour before it begins to answer
        /// Until the answer begins.
        first_byte: Span(1_000, HOUR_MS) => "300s";
        // providers send a sign of life at least every minute
        /// Between two pieces of an answer.
        idle: Span(1_000, HOUR_MS) => "120s";
    }

    DRAIN = {
        // a long stream has some hundred KiB: enough for all but a runaway
        /// How much is read on at most.
        max_bytes: Size(1, 1 << 30) => "1MiB";
        // most answers are over in half a minute, and what runs on costs money
        /// For how long at most.
        max_time: Span(1, HOUR_MS) => "30s";
    }

    HEALTH_CHECK requires ["path"] = {
        /// What is asked for, with GET and without a key.
        path: PATH;
        /// How often.
        every: Span(1_000, HOUR_MS) => "10s";
    }

    PRICES = {
        /// The list of prices; without the key, the one that is built in.
        file: FILE;
        /// The price of models that the list does not name.
        default: Table(&DEFAULT_PRICE);
    }

    DEFAULT_PRICE requires ["input", "output"] = PRICE_KEYS

    WEBHOOK requires ["name", "url"] = {
        /// The name, in logs and metrics.
        name: Text(LABEL_ALLOWED);
        /// Where messages are sent.
        url: Text("an `https://` URL with a host and no user name");
        /// What messages are signed with.
        secret: Secret(WEBHOOK_SECRET);
        /// The secret before it, while receivers change over.
        previous_secret: Secret(WEBHOOK_SECRET);
        // a receiver that needs longer should answer first and work then
        /// How long a receiver may take.
        timeout: Span(1_000, MINUTE_MS) => "15s";
        /// May the receiver be in a private network, and without TLS?
        allow_private: Flag => "false";
    }

    APP = ISSUER_KEYS, {
        /// An app whose habits are known: fills what it is known to send. Each other key replaces one of the preset's.
        preset: Word(|| words(&PRESETS), &[]);
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
    }

    /// A file of prices: not the configuration, but read alike.
    PRICE_LIST = {
        /// The prices, one for a model and a day.
        prices: Tables(&PRICE_LINE);
    }

    PRICE_LINE requires ["models", "input", "output"] = {
        /// The models.
        models: PATTERNS;
    }, PRICE_KEYS, {
        /// The first day of the price; without the key, always.
        valid_from: Day;
    }
}
