//! What `wit/` says, as Rust: generated when this crate is compiled.

wasmtime::component::bindgen!({
    path: "../../wit",
    inline: "
        package hostel:runtime;
        world imports {
            import hostel:handler/types@0.1.0;
            import hostel:handler/events@0.1.0;
            import hostel:handler/publisher@0.1.0;
            import wasi:logging/logging@0.1.0-draft;
            import wasi:config/store@0.2.0-rc.1;
            import wasi:keyvalue/store@0.2.0-draft;
            import wasi:keyvalue/atomics@0.2.0-draft;
        }
    ",
    world: "hostel:runtime/imports",
    imports: {
        "hostel:handler/events@0.1.0.[method]event.ack": async | trappable,
        "hostel:handler/publisher@0.1.0.publish": async,
        "hostel:handler/events@0.1.0": trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.get": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.set": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.delete": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.exists": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft.[method]bucket.list-keys": async | trappable,
        "wasi:keyvalue/store@0.2.0-draft": trappable,
        "wasi:keyvalue/atomics@0.2.0-draft.increment": async | trappable,
    },
    with: {
        "hostel:handler/events@0.1.0.event": crate::capability::events::Lent,
        "wasi:keyvalue/store@0.2.0-draft.bucket": crate::capability::key_value::Opened,
    },
});

/// `wasmcloud:messaging@0.2.0`, for components written for wasmCloud.
pub(crate) mod wasmcloud {
    wasmtime::component::bindgen!({
        path: "wit/wasmcloud-messaging-0.2.0",
        inline: "
            package hostel:wasmcloud;
            world imports {
                import wasmcloud:messaging/types@0.2.0;
                import wasmcloud:messaging/consumer@0.2.0;
            }
        ",
        world: "hostel:wasmcloud/imports",
        imports: { "wasmcloud:messaging/consumer@0.2.0": async },
    });
}

/// `wasi:messaging@0.2.0-draft`.
pub(crate) mod wasi_messaging {
    wasmtime::component::bindgen!({
        path: "wit/wasi-messaging-0.2.0-draft",
        inline: "
            package hostel:wasi-messaging;
            world imports {
                import wasi:messaging/types@0.2.0-draft;
                import wasi:messaging/producer@0.2.0-draft;
                import wasi:messaging/request-reply@0.2.0-draft;
            }
        ",
        world: "hostel:wasi-messaging/imports",
        imports: {
            "wasi:messaging/producer@0.2.0-draft.send": async | trappable,
            "wasi:messaging/request-reply@0.2.0-draft.request": async | trappable,
            "wasi:messaging/request-reply@0.2.0-draft.reply": async | trappable,
            default: trappable,
        },
        with: {
            "wasi:messaging/types@0.2.0-draft.client": crate::capability::wasi_messaging::Connected,
            "wasi:messaging/types@0.2.0-draft.message": crate::capability::wasi_messaging::Held,
            "wasi:messaging/request-reply@0.2.0-draft.request-options": crate::capability::wasi_messaging::Options,
        },
    });
}

/// `wasmcloud:messaging@0.3.0`, for asynchronous components written for wasmCloud.
pub(crate) mod wasmcloud_async {
    wasmtime::component::bindgen!({
        path: "wit/wasmcloud-messaging-0.3.0",
        inline: "
            package hostel:wasmcloud-async;
            world imports {
                import wasmcloud:messaging/types@0.3.0;
                import wasmcloud:messaging/consumer@0.3.0;
            }
        ",
        world: "hostel:wasmcloud-async/imports",
        imports: { default: trappable },
    });
}
