//! The attributes `#[hostel::handler]` and `#[hostel::init]`: they check a function's shape, so that the message names
//! the mistake, and hand its name to the macro of the crate `hostel` that makes it an export. What the export looks
//! like is not known here.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ItemFn;
use syn::spanned::Spanned as _;

/// Makes a function the handler of this component: the host calls it once for each delivery of an event.
///
/// The function takes a `hostel::Event` and returns a `hostel::Result`. A component has exactly one handler.
///
/// ```
/// #[hostel::handler]
/// fn handle(event: hostel::Event) -> hostel::Result {
///     hostel::info!("{} on {}", event.id(), event.topic());
///     Ok(())
/// }
/// ```
///
/// Another signature does not compile:
///
/// ```compile_fail
/// #[hostel::handler]
/// fn handle(event: String) -> hostel::Result {
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn handler(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(&HANDLER, &arguments.into(), &item.into()).into()
}

/// Makes a function the preparation of this component: the host calls it before the first event.
///
/// It runs once for each deployed version before the first event reaches it, and once in each instance that is reused.
/// An error refuses the deployment, or discards the instance; whether it is a retry or a rejection makes no difference.
/// In an instance that serves one event only, nothing that `init` leaves in memory is there when the event comes: use
/// it to check config, not to fill caches, unless the manifest asks for reuse.
///
/// The function takes nothing and returns a `hostel::Result`. A component has at most one.
///
/// ```
/// #[hostel::init]
/// fn init() -> hostel::Result {
///     hostel::require_config("webhook-secret")?;
///     Ok(())
/// }
/// ```
#[proc_macro_attribute]
pub fn init(arguments: proc_macro::TokenStream, item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    expand(&INIT, &arguments.into(), &item.into()).into()
}

/// One of the attributes: what it asks of a function and what it makes of it.
struct Attribute {
    name: &'static str,
    signature: &'static str,
    parameters: usize,
    /// The function's type, to be checked where the compiler's message points at the author's function.
    checked_type: fn() -> TokenStream,
    /// The macro of the crate `hostel` that makes the export.
    export: fn() -> TokenStream,
}

const HANDLER: Attribute = Attribute {
    name: "hostel::handler",
    signature: "fn handle(event: hostel::Event) -> hostel::Result",
    parameters: 1,
    checked_type: || quote!(for<'event> fn(::hostel::Event<'event>) -> ::hostel::Result),
    export: || quote!(::hostel::__export_handler),
};

const INIT: Attribute = Attribute {
    name: "hostel::init",
    signature: "fn init() -> hostel::Result",
    parameters: 0,
    checked_type: || quote!(fn() -> ::hostel::Result),
    export: || quote!(::hostel::__export_init),
};

/// The author's item followed by its export, or by the error that says what is wrong with it.
fn expand(attribute: &Attribute, arguments: &TokenStream, item: &TokenStream) -> TokenStream {
    match check(attribute, arguments, item.clone()) {
        Ok(function) => {
            let name = &function.sig.ident;
            let checked_type = (attribute.checked_type)();
            let export = (attribute.export)();
            // The constant gives the compiler a place to say `expected fn pointer …, found fn item …`.
            let check = quote_spanned!(name.span()=> const _: #checked_type = #name;);
            quote! {
                #[allow(clippy::needless_pass_by_value, reason = "the host lends the event by value")]
                #item
                #check
                #export!(#name);
            }
        }
        Err(error) => {
            let error = error.into_compile_error();
            quote!(#item #error)
        }
    }
}

fn check(attribute: &Attribute, arguments: &TokenStream, item: TokenStream) -> syn::Result<ItemFn> {
    let Attribute { name, signature, parameters, .. } = attribute;
    let refuse = |span: Span, what: &str| Err(syn::Error::new(span, format!("{what}; it looks like `{signature}`")));
    if !arguments.is_empty() {
        return Err(syn::Error::new(arguments.span(), format!("#[{name}] takes no arguments; write `#[{name}]`")));
    }
    let start = item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    let Ok(function) = syn::parse2::<ItemFn>(item) else {
        return refuse(start, &format!("#[{name}] belongs on a function"));
    };
    let shape = &function.sig;
    if let Some(word) = &shape.asyncness {
        return refuse(word.span(), &format!("the function of #[{name}] cannot be async: the host waits for its end"));
    }
    if let Some(generic) = shape.generics.params.iter().find(|one| !matches!(one, syn::GenericParam::Lifetime(_))) {
        return refuse(generic.span(), &format!("the function of #[{name}] cannot be generic"));
    }
    if shape.inputs.len() != *parameters {
        let wanted = if *parameters == 0 { "nothing" } else { "one event and nothing else" };
        return refuse(shape.ident.span(), &format!("the function of #[{name}] takes {wanted}"));
    }
    if matches!(shape.output, syn::ReturnType::Default) {
        return refuse(shape.ident.span(), &format!("the function of #[{name}] returns a result"));
    }
    Ok(function)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attribute: &Attribute, arguments: &str, item: &str) -> String {
        let item = item.parse().expect("tokens");
        check(attribute, &arguments.parse().expect("tokens"), item).err().map_or_else(String::new, |e| e.to_string())
    }

    #[test]
    fn a_wrong_shape_is_refused_with_the_right_one() {
        let check = |item: &str, expected: &str| assert_eq!(message(&HANDLER, "", item), expected, "{item}");
        let right = "it looks like `fn handle(event: hostel::Event) -> hostel::Result`";
        check("pub fn handle(event: Event) -> hostel::Result { Ok(()) }", "");
        check("fn handle<'a>(event: Event<'a>) -> hostel::Result { Ok(()) }", "");
        check("struct Handler;", &format!("#[hostel::handler] belongs on a function; {right}"));
        check(
            "async fn handle(event: Event) -> hostel::Result { Ok(()) }",
            &format!("the function of #[hostel::handler] cannot be async: the host waits for its end; {right}"),
        );
        check(
            "fn handle<T>(event: T) -> hostel::Result { Ok(()) }",
            &format!("the function of #[hostel::handler] cannot be generic; {right}"),
        );
        let count = format!("the function of #[hostel::handler] takes one event and nothing else; {right}");
        check("fn handle() -> hostel::Result { Ok(()) }", &count);
        check("fn handle(event: Event, more: u8) -> hostel::Result { Ok(()) }", &count);
        check("fn handle(event: Event) {}", &format!("the function of #[hostel::handler] returns a result; {right}"));
    }

    #[test]
    fn init_takes_nothing() {
        assert_eq!(
            message(&INIT, "", "fn init(event: Event) -> hostel::Result { Ok(()) }"),
            "the function of #[hostel::init] takes nothing; it looks like `fn init() -> hostel::Result`"
        );
    }

    #[test]
    fn arguments_are_refused() {
        assert_eq!(
            message(&HANDLER, "topic = 1", "fn handle(event: Event) -> hostel::Result { Ok(()) }"),
            "#[hostel::handler] takes no arguments; write `#[hostel::handler]`"
        );
    }

    #[test]
    fn a_refused_item_is_kept_so_that_only_one_error_shows() {
        let item = "fn handle() {}".parse().expect("tokens");
        let expanded = expand(&HANDLER, &TokenStream::new(), &item).to_string();
        assert!(expanded.starts_with("fn handle () { }"), "{expanded}");
        assert!(expanded.contains("compile_error"), "{expanded}");
    }
}
