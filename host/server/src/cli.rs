//! The command line: what `hostel` takes, and every command but `serve`.
//!
//! A command asks a host over its API and prints what it says: functions that render are pure and tested, functions
//! that ask are thin. stdout is data, stderr is talk; exit 0 done, 1 not done, 2 misused.

mod audit;
mod build;
mod dead_letters;
mod deploy;
mod dev;
mod doctor;
mod explain;
pub(crate) mod failure;
mod handlers;
mod logs;
mod manual;
mod new;
pub(crate) mod output;
mod peers;
mod publish;
mod replay;
mod services;
mod table;
mod tail;
mod tenants;
pub(crate) mod text;
mod tokens;
mod usage;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use hostel_api::client::{Certificate, Client, Target, Tls};

use self::failure::Failure;

/// Runs event handlers, compiled to WebAssembly components, in sandboxes of their own.
#[derive(Debug, clap::Parser)]
#[command(name = "hostel", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Where the host is and whose things are asked for.
    #[command(flatten)]
    pub(crate) connection: Connection,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the host is and whose things are asked for.
#[derive(Clone, PartialEq, Eq, clap::Args)]
pub(crate) struct Connection {
    /// Where the host's admin API is
    #[arg(long, global = true, env = "HOSTEL_ADMIN_URL", value_name = "URL", help_heading = "Connection")]
    #[arg(default_value = "http://127.0.0.1:4301")]
    admin_url: String,
    /// Where the host's ingress is
    #[arg(long, global = true, env = "HOSTEL_INGRESS_URL", value_name = "URL", help_heading = "Connection")]
    #[arg(default_value = "http://127.0.0.1:4300")]
    ingress_url: String,
    /// Whose handlers, subscriptions, logs and dead letters
    #[arg(long, global = true, env = "HOSTEL_TENANT", value_name = "TENANT", help_heading = "Connection")]
    #[arg(default_value = "default")]
    tenant: String,
    /// A token to be let in with. The environment and a file keep it out of the list of processes; a flag does not
    #[arg(long, global = true, env = "HOSTEL_TOKEN", value_name = "TOKEN", help_heading = "Connection")]
    #[arg(hide_env_values = true)]
    token: Option<String>,
    /// A file with the token
    #[arg(long, global = true, env = "HOSTEL_TOKEN_FILE", value_name = "FILE", help_heading = "Connection")]
    token_file: Option<PathBuf>,
    /// A file of certificates to believe hosts by, beside the system's, for URLs of `https`; PEM
    #[arg(long, global = true, env = "HOSTEL_CA", value_name = "FILE", help_heading = "Connection")]
    ca: Option<PathBuf>,
    /// A certificate to show to hosts that ask for one, and the chain behind it; PEM
    #[arg(long, global = true, env = "HOSTEL_CLIENT_CERTIFICATE", value_name = "FILE", help_heading = "Connection")]
    client_certificate: Option<PathBuf>,
    /// Its private key; PEM
    #[arg(long, global = true, env = "HOSTEL_CLIENT_KEY", value_name = "FILE", help_heading = "Connection")]
    client_key: Option<PathBuf>,
}

/// Without the token.
impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { admin_url, ingress_url, tenant, token_file, .. } = self;
        let mut shown = f.debug_struct("Connection");
        shown.field("admin_url", admin_url).field("ingress_url", ingress_url).field("tenant", tenant);
        shown.field("token_file", token_file).finish_non_exhaustive()
    }
}

impl Connection {
    /// A client of the host that it names, with the token that it has.
    fn client(self) -> Result<Client, Failure> {
        let Self { admin_url, ingress_url, tenant, token, token_file, ca, client_certificate, client_key } = self;
        let target = Target { admin: admin_url, ingress: ingress_url, tenant };
        let certificate = match (client_certificate, client_key) {
            (None, None) => None,
            (Some(chain), Some(key)) => Some(Certificate { chain, key }),
            // Either may come from the environment, so this is not clap's to find.
            _ => return Err(Failure::Misuse("`--client-certificate` and `--client-key` go together".to_owned())),
        };
        let client = Client::over(&target, &Tls { authorities: ca, certificate })?;
        let token = match (token.filter(|token| !token.is_empty()), token_file) {
            (Some(token), _) => Some(token),
            (None, Some(file)) => {
                Some(std::fs::read_to_string(&file).map_err(|error| Failure::unreadable(&file, &error))?)
            }
            (None, None) => None,
        };
        match token {
            Some(token) => Ok(client.with_token(token.trim())?),
            None => Ok(client),
        }
    }
}

/// What to do.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Run a host in the foreground
    Serve(ServeArguments),
    /// Whatever asks a host, or nobody.
    #[command(flatten)]
    Client(ClientCommand),
}

/// The flags of `serve`. What is absent is up to the environment, the config file and the defaults, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub(crate) struct ServeArguments {
    /// The config file; without it the host starts with its defaults
    #[arg(long, env = "HOSTEL_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen for events
    #[arg(long, value_name = "ADDRESS:PORT", visible_alias = "broker-address", alias = "broker_address")]
    pub(crate) ingress: Option<SocketAddr>,
    /// Where to listen for operators
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(crate) admin: Option<SocketAddr>,
    /// Where to keep data
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) data_dir: Option<PathBuf>,
    /// How to find other nodes: in this host's own registry, on the local network, or in another host's registry
    #[arg(long, value_name = "KIND", value_parser = ["memory", "mdns", "http"])]
    pub(crate) registry: Option<String>,
    /// The admin API of the host whose registry to use, with `--registry http`
    #[arg(long, value_name = "URL", alias = "registry_address")]
    pub(crate) registry_address: Option<String>,
    /// How long nodes stay known unless registered again, in seconds or with a unit
    #[arg(long, value_name = "DURATION", alias = "register_ttl")]
    pub(crate) register_ttl: Option<String>,
    /// How often nodes are registered again, in seconds or with a unit
    #[arg(long, value_name = "DURATION", alias = "register_interval")]
    pub(crate) register_interval: Option<String>,
    /// How to exchange events with peers: by go-micro's HTTP broker, or not at all
    #[arg(long, value_name = "KIND", value_parser = ["http", "none"])]
    pub(crate) broker: Option<String>,
    /// The service under which this host itself is registered
    #[arg(long, value_name = "NAME", alias = "server_name")]
    pub(crate) server_name: Option<String>,
    /// Which log lines to write, such as `info` or `hostel_dispatch=debug,info`
    #[arg(long, value_name = "FILTER")]
    pub(crate) log: Option<String>,
    /// How to write them
    #[arg(long, value_name = "FORMAT", value_parser = ["text", "json"])]
    pub(crate) log_format: Option<String>,
    /// Listen where other machines can reach it, though nobody is asked who they are
    #[arg(long)]
    pub(crate) allow_remote: bool,
}

/// The commands that [`run`] runs.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum ClientCommand {
    /// Begin a handler: a folder with a small one that works, its test and its tools
    New(new::Arguments),
    /// Build a handler to a component, and check that a host would take it
    Build(build::Arguments),
    /// Run a host for one handler, and build it anew and swap it in whenever its source changes
    Dev(dev::Arguments),
    /// Publish a message, or each line of a file
    Publish(publish::Arguments),
    /// Show events as they are published
    Tail(tail::Arguments),
    /// Deploy a handler, or a new version of it
    Deploy(deploy::Arguments),
    /// Take a handler away, and what waits for it
    Undeploy(handlers::UndeployArguments),
    /// Bring back the version of a handler that ran before this one
    Rollback(handlers::RollbackArguments),
    /// List the handlers, or show one
    Handlers(handlers::Arguments),
    /// List the subscriptions and how they are doing
    Subscriptions(handlers::SubscriptionsArguments),
    /// Start nothing more of a subscription or a handler; its events wait
    Pause(handlers::PauseArguments),
    /// Let a subscription or a handler go on that was paused or quarantined
    Resume(handlers::PauseArguments),
    /// Show what handlers logged
    Logs(logs::Arguments),
    /// List, show or redrive the events that were given up
    DeadLetters(dead_letters::Arguments),
    /// Deliver again what is kept to a subscription or a handler
    Replay(replay::Arguments),
    /// List, create, show, change or delete tenants
    Tenants(tenants::Arguments),
    /// Make, list or revoke tokens
    Tokens(tokens::Arguments),
    /// Show who changed what
    Audit(audit::Arguments),
    /// Show what handlers used: events, attempts, CPU time, memory, bytes
    Usage(usage::Arguments),
    /// List who gets events from the host over the network, and how that goes
    Peers(peers::Arguments),
    /// List the services that the host's registry knows, show one, or watch them
    Services(services::Arguments),
    /// Look for the usual mistakes on this machine, and tell how to cure them
    Doctor(doctor::Arguments),
    /// Tell what an error code means and what to do about it
    Explain(explain::Arguments),
    /// Print a script that completes commands in a shell
    Completions(explain::CompletionsArguments),
    /// Print the manual page, or write one for every command
    Manual(manual::Arguments),
}

impl Arguments {
    /// Reads the process's arguments. Prints what is wrong with them and ends the process if they cannot be taken.
    pub(crate) fn parse() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = manual::command();
        let matches = command.try_get_matches_from_mut(arguments)?;
        let read = Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        match useless_flag(&matches, read.command.uses()) {
            None => Ok(read),
            Some(flag) => {
                let name = matches.subcommand_name().unwrap_or_default();
                let text = format!("`--{}` has no effect on `hostel {name}`", flag.replace('_', "-"));
                Err(command.error(ErrorKind::ArgumentConflict, text))
            }
        }
    }
}

impl Command {
    /// The flags of the connection that it heeds.
    fn uses(&self) -> &'static [&'static str] {
        match self {
            Self::Serve(_) | Self::Client(ClientCommand::Explain(_) | ClientCommand::Completions(_)) => &[],
            Self::Client(ClientCommand::New(_) | ClientCommand::Build(_) | ClientCommand::Dev(_)) => &[],
            Self::Client(ClientCommand::Manual(_)) => &[],
            Self::Client(ClientCommand::Doctor(_)) => &["admin_url"],
            // The host itself says whose topics its ingress serves.
            Self::Client(ClientCommand::Publish(_) | ClientCommand::Tail(_)) => &["ingress_url"],
            // Services belong to no tenant, and which tenant is meant stands behind `tenants` as an argument.
            Self::Client(ClientCommand::Services(_) | ClientCommand::Tenants(_)) => &["admin_url"],
            Self::Client(_) => &["admin_url", "tenant"],
        }
    }
}

/// The flag of the connection that was given on the command line and would silently do nothing.
fn useless_flag(matches: &ArgMatches, used: &[&str]) -> Option<&'static str> {
    ["admin_url", "ingress_url", "tenant"]
        .into_iter()
        .find(|flag| !used.contains(flag) && matches.value_source(flag) == Some(ValueSource::CommandLine))
}

/// Runs a command to its end and prints what comes of it.
pub(crate) async fn run(connection: Connection, command: ClientCommand) -> ExitCode {
    match dispatch(connection, command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if let Some(text) = failure.render() {
                output::talk(&text);
            }
            failure.exit_code()
        }
    }
}

async fn dispatch(connection: Connection, command: ClientCommand) -> Result<(), Failure> {
    let client = || connection.clone().client();
    match command {
        ClientCommand::New(arguments) => new::run(&arguments),
        ClientCommand::Build(arguments) => build::run(&arguments).await,
        ClientCommand::Dev(arguments) => dev::run(&arguments).await,
        ClientCommand::Publish(arguments) => publish::run(&client()?, arguments).await,
        ClientCommand::Tail(arguments) => tail::run(&client()?, &arguments).await,
        ClientCommand::Deploy(arguments) => deploy::run(&client()?, &arguments).await,
        ClientCommand::Undeploy(arguments) => handlers::undeploy(&client()?, &arguments).await,
        ClientCommand::Rollback(arguments) => handlers::rollback(&client()?, &arguments).await,
        ClientCommand::Pause(arguments) => handlers::pause(&client()?, &arguments).await,
        ClientCommand::Resume(arguments) => handlers::resume(&client()?, &arguments).await,
        ClientCommand::Handlers(arguments) => handlers::run(&client()?, &arguments).await,
        ClientCommand::Subscriptions(arguments) => handlers::subscriptions(&client()?, &arguments).await,
        ClientCommand::Logs(arguments) => logs::run(&client()?, &arguments).await,
        ClientCommand::DeadLetters(arguments) => dead_letters::run(&client()?, &arguments).await,
        ClientCommand::Replay(arguments) => replay::run(&client()?, &arguments).await,
        ClientCommand::Tenants(arguments) => tenants::run(&client()?, arguments).await,
        ClientCommand::Tokens(arguments) => tokens::run(&client()?, arguments).await,
        ClientCommand::Audit(arguments) => audit::run(&client()?, &arguments).await,
        ClientCommand::Usage(arguments) => usage::run(&client()?, &arguments).await,
        ClientCommand::Peers(arguments) => peers::run(&client()?, &arguments).await,
        ClientCommand::Services(arguments) => services::run(&client()?, &arguments).await,
        ClientCommand::Explain(arguments) => explain::run(&arguments),
        ClientCommand::Completions(arguments) => explain::completions(&arguments),
        ClientCommand::Doctor(arguments) => doctor::run(connection, &arguments).await,
        ClientCommand::Manual(arguments) => manual::run(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::read(line.split(' ').map(OsString::from))
    }

    fn refused(line: &str) -> String {
        let error = read(line).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{line}");
        error.to_string()
    }

    #[test]
    fn the_definition_is_sound() {
        manual::command().debug_assert();
    }

    #[test]
    fn flags_of_the_connection_stand_before_or_after_the_command() {
        for line in ["hostel --tenant acme handlers", "hostel handlers --tenant acme"] {
            assert_eq!(read(line).unwrap().connection.tenant, "acme");
        }
        let read = read("hostel dead-letters list --admin-url http://a:1").unwrap();
        assert_eq!(read.connection.admin_url, "http://a:1");
        assert_eq!(read.connection.ingress_url, "http://127.0.0.1:4300");
    }

    #[test]
    fn a_flag_of_the_connection_that_would_do_nothing_is_refused() {
        let check = |line: &str, expected: &str| {
            let text = refused(line);
            assert_eq!(text.lines().next(), Some(format!("error: {expected}").as_str()));
        };
        check("hostel serve --admin-url http://a:1", "`--admin-url` has no effect on `hostel serve`");
        check("hostel --tenant acme publish a b", "`--tenant` has no effect on `hostel publish`");
        check("hostel handlers --ingress-url http://a:1", "`--ingress-url` has no effect on `hostel handlers`");
    }

    #[test]
    fn a_slip_in_a_flag_or_command_is_answered_with_the_nearest() {
        let text = refused("hostel handlers --jsno");
        assert!(text.contains("a similar argument exists: '--json'"), "{text}");
        let text = refused("hostel handler");
        assert!(text.contains("a similar subcommand exists: 'handlers'"), "{text}");
    }

    #[test]
    fn serve_takes_its_flags() {
        let line = "hostel serve --config a.toml --ingress 127.0.0.1:0 --admin [::1]:0 --data-dir d --log debug \
                    --log-format json --allow-remote --registry http --registry_address http://[::1]:4301 \
                    --register_ttl 90 --register-interval 10s --broker none --server_name host-7";
        let Command::Serve(serve) = read(line).unwrap().command else { panic!("{line}") };
        let expected = ServeArguments {
            config: Some("a.toml".into()),
            ingress: Some("127.0.0.1:0".parse().unwrap()),
            admin: Some("[::1]:0".parse().unwrap()),
            data_dir: Some("d".into()),
            log: Some("debug".to_owned()),
            log_format: Some("json".to_owned()),
            allow_remote: true,
            registry: Some("http".to_owned()),
            registry_address: Some("http://[::1]:4301".to_owned()),
            register_ttl: Some("90".to_owned()),
            register_interval: Some("10s".to_owned()),
            broker: Some("none".to_owned()),
            server_name: Some("host-7".to_owned()),
        };
        assert_eq!(serve, expected);
        assert!(refused("hostel serve --ingress here").contains("invalid value 'here' for '--ingress"));
        assert!(refused("hostel serve --log-format xml").contains("[possible values: text, json]"));
    }

    #[test]
    fn what_excludes_one_another_is_refused() {
        for line in [
            "hostel publish a b --file c",
            "hostel publish a --file b --lines c",
            "hostel publish a --lines b --id c",
            "hostel publish a b --timeout 5s",
            "hostel publish a b -H x",
            "hostel publish a b --wait --timeout 5",
            "hostel publish a b --wait --deliver-at 5m",
            "hostel tail a --count 0",
            "hostel services a b",
            "hostel services --tenant acme",
            "hostel dead-letters redrive",
            "hostel dead-letters redrive a --all",
            "hostel replay",
            "hostel replay a",
            "hostel replay --from 1h",
            "hostel replay a --end --rate 5",
            "hostel replay a --end --from 1h",
            "hostel replay a --from 1h --rate 0",
            "hostel deploy a.wasm --config x",
            "hostel deploy a.wasm --attempts 0",
            "hostel usage --csv --json",
        ] {
            refused(line);
        }
    }
}
