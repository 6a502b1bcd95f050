//! `hostel tenants`: created, changed and deleted by the operator.

use std::num::NonZeroU32;
use std::path::PathBuf;

use hostel_api::client::{Client, Force};
use hostel_api::tenant::{Export, QuotaDocument, TenantChangedView, TenantDocument, TenantView};
use hostel_api::unit::{ByteSize, Span};

use super::failure::Failure;
use super::{output, table, text};

/// Tenants that are asked for at a time.
const PAGE: usize = 1000;

/// The flags of `tenants`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the tenants
    List(ListArguments),
    /// Create a tenant
    Create(SayArguments),
    /// Show a tenant
    Show(ShowArguments),
    /// Change what is said of a tenant; what is not given stays
    Update(SayArguments),
    /// Delete a tenant
    Delete(DeleteArguments),
}

#[derive(Debug, clap::Args)]
struct ListArguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct ShowArguments {
    /// Its name
    #[arg(id = "name")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct DeleteArguments {
    /// Its name
    #[arg(id = "name")]
    name: String,
    /// With the handlers that it has
    #[arg(long)]
    force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, clap::Args)]
struct SayArguments {
    /// Its name
    #[arg(id = "name")]
    name: String,
    /// A file of TOML that says all of it: `[quota]` and `[[exports]]`
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Events that it may publish in a second
    #[arg(long, value_name = "COUNT")]
    events: Option<NonZeroU32>,
    /// Deliveries that may begin in a second
    #[arg(long, value_name = "COUNT")]
    deliveries: Option<NonZeroU32>,
    /// Handlers that may run at the same time
    #[arg(long, value_name = "COUNT")]
    invocations: Option<NonZeroU32>,
    /// CPU time that it may take in a second, such as `500ms`
    #[arg(long, value_name = "DURATION")]
    cpu: Option<Span>,
    /// Memory that all that runs may have together, such as `1GiB`
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// Bytes that are kept of it
    #[arg(long, value_name = "SIZE")]
    stored_bytes: Option<ByteSize>,
    /// Handlers that it may have
    #[arg(long, value_name = "COUNT")]
    handlers: Option<u32>,
    /// Connections that it may have open to the outside
    #[arg(long, value_name = "COUNT")]
    connections: Option<u32>,
    /// Its share beside others, when there is not enough for all
    #[arg(long, value_name = "SHARE")]
    weight: Option<NonZeroU32>,
    /// Topics that another tenant may hear, such as `orders.>=billing`; those given are all there are
    #[arg(long = "export", value_name = "PATTERN=TENANT")]
    exports: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Lists, creates, shows, changes or deletes.
pub(crate) async fn run(client: &Client, arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        Command::List(arguments) => list(client, &arguments).await,
        Command::Create(arguments) => create(client, arguments).await,
        Command::Show(arguments) => show(client, &arguments).await,
        Command::Update(arguments) => update(client, arguments).await,
        Command::Delete(arguments) => delete(client, &arguments).await,
    }
}

async fn list(client: &Client, arguments: &ListArguments) -> Result<(), Failure> {
    let mut tenants: Vec<TenantView> = Vec::new();
    let mut next = None;
    loop {
        let page = client.tenants(PAGE, next.as_deref()).await?;
        tenants.extend(page.items);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if arguments.json { output::json(&tenants) } else { output::data(&render(&tenants)) }
}

fn render(tenants: &[TenantView]) -> String {
    let row = |tenant: &TenantView| {
        let by = if tenant.configured { "config" } else { "operator" };
        [tenant.name.clone(), tenant.handlers.to_string(), by.to_owned(), tenant.created_at.clone()]
    };
    table::render(["NAME", "HANDLERS", "NAMED BY", "CREATED"], &tenants.iter().map(row).collect::<Vec<_>>())
}

async fn show(client: &Client, arguments: &ShowArguments) -> Result<(), Failure> {
    let tenant = client.tenant(&arguments.name).await?;
    if arguments.json { output::json(&tenant) } else { output::data(&shown(&tenant)) }
}

fn shown(tenant: &TenantView) -> String {
    let QuotaDocument { events, deliveries, invocations, cpu, memory, stored_bytes, handlers, connections, weight } =
        &tenant.quota;
    fn or_nothing(value: Option<impl ToString>) -> String {
        value.map(|value| value.to_string()).unwrap_or_default()
    }
    let mut fields = vec![
        ("name", tenant.name.clone()),
        ("created", tenant.created_at.clone()),
        ("handlers", tenant.handlers.to_string()),
        ("events/s", or_nothing(events.as_ref())),
        ("deliveries/s", or_nothing(deliveries.as_ref())),
        ("invocations", or_nothing(invocations.as_ref())),
        ("cpu/s", or_nothing(cpu.as_ref())),
        ("memory", or_nothing(memory.as_ref())),
        ("stored", or_nothing(stored_bytes.as_ref())),
        ("max handlers", or_nothing(handlers.as_ref())),
        ("connections", or_nothing(connections.as_ref())),
        ("weight", or_nothing(weight.as_ref())),
    ];
    for export in &tenant.exports {
        fields.push(("exports", format!("{} to {}", export.topics.join(", "), export.to.join(", "))));
    }
    table::fields(&fields)
}

async fn create(client: &Client, arguments: SayArguments) -> Result<(), Failure> {
    // Between this look and the change another may create it; then it is changed, which is what was asked for.
    if client.tenant(&arguments.name).await.is_ok() {
        let name = text::line(&arguments.name);
        return Err(Failure::plain(format!("tenant `{name}` is there already; `hostel tenants update` changes it")));
    }
    say(client, arguments, TenantDocument::default()).await
}

async fn update(client: &Client, arguments: SayArguments) -> Result<(), Failure> {
    let TenantView { quota, exports, .. } = client.tenant(&arguments.name).await?;
    say(client, arguments, TenantDocument { quota, exports }).await
}

async fn say(client: &Client, arguments: SayArguments, known: TenantDocument) -> Result<(), Failure> {
    let document = match &arguments.file {
        None => known,
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error))?;
            TenantDocument::from_toml(&text, &file.display().to_string())
                .map_err(|error| Failure::Misuse(error.to_string()))?
        }
    };
    let document = said(document, &arguments)?;
    let changed = client.put_tenant(&arguments.name, &document).await?;
    if arguments.json {
        return output::json(&changed);
    }
    let TenantChangedView { tenant, created } = changed;
    output::talk(&format!("{} tenant `{}`", if created { "created" } else { "changed" }, tenant.name));
    Ok(())
}

/// A document with what the flags say over it.
fn said(document: TenantDocument, arguments: &SayArguments) -> Result<TenantDocument, Failure> {
    let old = document.quota;
    let quota = QuotaDocument {
        events: arguments.events.or(old.events),
        deliveries: arguments.deliveries.or(old.deliveries),
        invocations: arguments.invocations.or(old.invocations),
        cpu: arguments.cpu.or(old.cpu),
        memory: arguments.memory.or(old.memory),
        stored_bytes: arguments.stored_bytes.or(old.stored_bytes),
        handlers: arguments.handlers.or(old.handlers),
        connections: arguments.connections.or(old.connections),
        weight: arguments.weight.or(old.weight),
    };
    if arguments.exports.is_empty() {
        return Ok(TenantDocument { quota, exports: document.exports });
    }
    let export = |text: &String| match text.split_once('=') {
        Some((topics, to)) => Ok(Export { topics: vec![topics.to_owned()], to: vec![to.to_owned()] }),
        None => Err(Failure::Misuse(format!("`--export {text}` is not `PATTERN=TENANT`"))),
    };
    Ok(TenantDocument { quota, exports: arguments.exports.iter().map(export).collect::<Result<_, _>>()? })
}

async fn delete(client: &Client, arguments: &DeleteArguments) -> Result<(), Failure> {
    let force = if arguments.force { Force::Yes } else { Force::No };
    let deleted = client.delete_tenant(&arguments.name, force).await?;
    if arguments.json {
        return output::json(&deleted);
    }
    output::talk(&format!(
        "deleted tenant `{}` with {}, {} and {}; discarded {} that waited",
        text::line(&arguments.name),
        text::counted(deleted.handlers, "handler"),
        text::counted(deleted.tokens, "token"),
        text::counted(deleted.dead_letters, "dead letter"),
        text::counted(deleted.discarded, "event"),
    ));
    output::talk(&deleted.stays);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_what_they_name_and_leave_the_rest() {
        let known = TenantDocument::from_toml("[quota]\nevents = 5\nhandlers = 3", "t.toml").unwrap();
        let arguments =
            SayArguments { handlers: Some(9), exports: vec!["orders.>=billing".to_owned()], ..SayArguments::default() };
        let document = said(known, &arguments).unwrap();
        assert_eq!((document.quota.events, document.quota.handlers), (NonZeroU32::new(5), Some(9)));
        let expected = Export { topics: vec!["orders.>".to_owned()], to: vec!["billing".to_owned()] };
        assert_eq!(document.exports, [expected]);
        let bad = SayArguments { exports: vec!["orders".to_owned()], ..SayArguments::default() };
        assert!(said(TenantDocument::default(), &bad).is_err());
    }

    #[test]
    fn a_tenant_is_shown_with_what_limits_it() {
        let tenant = TenantView {
            name: "acme".to_owned(),
            quota: QuotaDocument { handlers: Some(3), ..QuotaDocument::default() },
            exports: vec![Export { topics: vec!["orders.>".to_owned()], to: vec!["billing".to_owned()] }],
            created_at: "2026-01-01T00:00:00.000Z".to_owned(),
            configured: false,
            handlers: 1,
        };
        assert_eq!(
            shown(&tenant),
            "name          acme\ncreated       2026-01-01T00:00:00.000Z\nhandlers      1\nmax handlers  3\n\
             exports       orders.> to billing\n"
        );
    }
}
