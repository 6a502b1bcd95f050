//! The subscriber that hands the events of the crate `tracing` to the host's log, each after the spans it is in:
//! `order{number=7}:item: sold out price=3`. Small on purpose: no filters, no timings.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing_core::field::{Field, Visit};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Subscriber;
use tracing_core::{Dispatch, Event, Level, Metadata, dispatcher};

use crate::host;

/// Makes the host's log the subscriber of this component, unless the author has set another.
pub(crate) fn install() {
    drop(dispatcher::set_global_default(Dispatch::new(HostLog::default())));
}

#[derive(Default)]
struct HostLog {
    spans: Mutex<Spans>,
}

#[derive(Default)]
struct Spans {
    last: u64,
    open: BTreeMap<u64, Span>,
}

struct Span {
    metadata: &'static Metadata<'static>,
    fields: String,
    parent: Option<Id>,
    references: usize,
}

thread_local! {
    /// The spans that were entered and not yet left, the innermost last.
    static ENTERED: RefCell<Vec<Id>> = const { RefCell::new(Vec::new()) };
}

impl HostLog {
    /// A panic of another thread does not harm the spans: each change of them is whole.
    fn spans(&self) -> MutexGuard<'_, Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Spans {
    /// The spans round `innermost` as text, the outermost first.
    fn path(&self, innermost: Option<Id>) -> String {
        let open = |id: Id| self.open.get(&id.into_u64());
        let chain = std::iter::successors(innermost.and_then(open), |span| span.parent.clone().and_then(open));
        let name = |span: &Span| match span.fields.as_str() {
            "" => format!("{}:", span.metadata.name()),
            fields => format!("{}{{{fields}}}:", span.metadata.name()),
        };
        let mut names: Vec<_> = chain.map(name).collect();
        names.reverse();
        names.concat()
    }
}

fn entered() -> Option<Id> {
    ENTERED.with_borrow(|entered| entered.last().cloned())
}

impl Subscriber for HostLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let parent = attributes.parent().cloned().or_else(|| attributes.is_contextual().then(entered).flatten());
        let mut text = Text::default();
        attributes.record(&mut text);
        let parent = parent.map(|parent| self.clone_span(&parent));
        let mut spans = self.spans();
        spans.last += 1;
        let id = spans.last;
        let span = Span { metadata: attributes.metadata(), fields: text.fields, parent, references: 1 };
        spans.open.insert(id, span);
        Id::from_u64(id)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        let mut text = Text::default();
        values.record(&mut text);
        if let Some(span) = self.spans().open.get_mut(&id.into_u64()) {
            if !span.fields.is_empty() {
                span.fields.push(' ');
            }
            span.fields.push_str(&text.fields);
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let parent = event.parent().cloned().or_else(|| event.is_contextual().then(entered).flatten());
        let mut text = Text::default();
        event.record(&mut text);
        let path = self.spans().path(parent);
        let line = [path.as_str(), text.message.as_str(), text.fields.as_str()];
        let line = line.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        host::log(log_level(*event.metadata().level()), event.metadata().target(), &line);
    }

    fn enter(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| entered.push(id.clone()));
    }

    fn exit(&self, id: &Id) {
        ENTERED.with_borrow_mut(|entered| {
            if let Some(at) = entered.iter().rposition(|one| one == id) {
                entered.remove(at);
            }
        });
    }

    fn clone_span(&self, id: &Id) -> Id {
        if let Some(span) = self.spans().open.get_mut(&id.into_u64()) {
            span.references += 1;
        }
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = self.spans();
        let Some(span) = spans.open.get_mut(&id.into_u64()) else { return false };
        span.references = span.references.saturating_sub(1);
        if span.references > 0 {
            return false;
        }
        let parent = spans.open.remove(&id.into_u64()).and_then(|span| span.parent);
        drop(spans);
        if let Some(parent) = parent {
            self.try_close(parent);
        }
        true
    }

    fn current_span(&self) -> Current {
        let metadata = |id: &Id| self.spans().open.get(&id.into_u64()).map(|span| span.metadata);
        match entered().and_then(|id| metadata(&id).map(|metadata| Current::new(id, metadata))) {
            Some(current) => current,
            None => Current::none(),
        }
    }
}

fn log_level(level: Level) -> log::Level {
    match level {
        Level::ERROR => log::Level::Error,
        Level::WARN => log::Level::Warn,
        Level::INFO => log::Level::Info,
        Level::DEBUG => log::Level::Debug,
        _ => log::Level::Trace,
    }
}

/// The message and the other fields of a span or an event, as text.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // Writing to a text fails only if the value's own `Debug` does; what it wrote until then stays.
        if field.name() == "message" {
            let _ = self.message.write_fmt(value);
            return;
        }
        let space = if self.fields.is_empty() { "" } else { " " };
        let _ = write!(self.fields, "{space}{field}={value}");
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.add(field, format_args!("{value}")),
            _ => self.add(field, format_args!("{value:?}")),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use crate::testing;

    #[test]
    fn an_event_is_logged_with_the_spans_it_is_in() {
        let handle = |_: crate::Event<'_>| -> crate::Result {
            tracing::warn!("alone");
            let order = tracing::info_span!("order", number = 7, state = tracing::field::Empty);
            let _order = order.enter();
            order.record("state", "new");
            let item = tracing::debug_span!("item");
            item.in_scope(|| tracing::error!(target: "shop", price = 3, name = "a pen", "sold {}", "out"));
            tracing::info!(parent: None, "outside");
            tracing::info!("inside");
            Ok(())
        };
        let run = testing::run(handle, testing::Event::new("a"));
        run.result.unwrap();
        let lines: Vec<_> =
            run.logs.iter().map(|line| format!("{} {} {}", line.level, line.context, line.text)).collect();
        let own = module_path!();
        assert_eq!(
            lines,
            [
                format!("WARN {own} alone"),
                r#"ERROR shop order{number=7 state="new"}:item: sold out price=3 name="a pen""#.to_owned(),
                format!("INFO {own} outside"),
                format!(r#"INFO {own} order{{number=7 state="new"}}: inside"#),
            ]
        );
    }

    #[test]
    fn a_span_ends_with_its_last_reference() {
        let handle = |_: crate::Event<'_>| -> crate::Result {
            let outer = tracing::info_span!("outer");
            let inner = outer.in_scope(|| tracing::info_span!("inner"));
            drop(outer);
            inner.in_scope(|| tracing::info!("still in both"));
            drop(inner);
            tracing::info!("in none");
            Ok(())
        };
        let run = testing::run(handle, testing::Event::new("a"));
        run.result.unwrap();
        assert_eq!(run.logs[0].text, "outer:inner: still in both");
        assert_eq!(run.logs[1].text, "in none");
    }
}
