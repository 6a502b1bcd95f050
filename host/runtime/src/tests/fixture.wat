;; A handler's component for tests. What stands in braces is filled in by `Fixture`.
(component
    (import "hostel:handler/types@0.1.0" (instance $types
        (type $header (tuple string string))
        (type $headers' (list $header))
        (export "headers" (type $headers (eq $headers')))
        (type $message' (record (field "headers" $headers) (field "body" (list u8))))
        (export "message" (type $message (eq $message')))
        (type $advice' (record (field "reason" string) (field "after-ms" (option u64))))
        (export "retry-advice" (type $advice (eq $advice')))
        (type $failure' (variant (case "retry" $advice) (case "reject" string)))
        (export "failure" (type $failure (eq $failure')))
        (type $settle-error'
            (variant (case "already-settled") (case "failed" string) (case "too-long" u64)))
        (export "settle-error" (type $settle-error (eq $settle-error')))
        (type $publish-error' (variant
            (case "denied" string) (case "invalid" string) (case "too-large" u64) (case "overloaded" u64)
            (case "failed" string)))
        (export "publish-error" (type $publish-error (eq $publish-error')))
    ))
    (alias export $types "message" (type $message))
    (alias export $types "failure" (type $failure))
    (alias export $types "settle-error" (type $settle-error))
    (alias export $types "publish-error" (type $publish-error))

    (import "hostel:handler/events@0.1.0" (instance $events
        (alias outer 1 $settle-error (type $settle-error'))
        (export "settle-error" (type $settle-error (eq $settle-error')))
        (export "event" (type $event (sub resource)))
        (export "[method]event.topic" (func (param "self" (borrow $event)) (result string)))
        (export "[method]event.body" (func (param "self" (borrow $event)) (result (list u8))))
        (export "[method]event.ack" (func (param "self" (borrow $event)) (result (result (error $settle-error)))))
        (export "[method]event.extend"
            (func (param "self" (borrow $event)) (param "ms" u64) (result (result (error $settle-error)))))
    ))
    (alias export $events "event" (type $event))

    (import "hostel:handler/publisher@0.1.0" (instance $publisher
        (alias outer 1 $message (type $message'))
        (export "message" (type $message (eq $message')))
        (alias outer 1 $publish-error (type $publish-error'))
        (export "publish-error" (type $publish-error (eq $publish-error')))
        (export "publish"
            (func (param "topic" string) (param "message" $message) (result (result string (error $publish-error)))))
    ))

    (import "wasi:logging/logging@0.1.0-draft" (instance $logging
        (type $level' (enum "trace" "debug" "info" "warn" "error" "critical"))
        (export "level" (type $level (eq $level')))
        (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))
    ))

    (import "wasi:config/store@0.2.0-rc.1" (instance $config
        (type $error' (variant (case "upstream" string) (case "io" string)))
        (export "error" (type $error (eq $error')))
        (export "get" (func (param "key" string) (result (result (option string) (error $error)))))
    ))

    (import "wasi:keyvalue/store@0.2.0-draft" (instance $store
        (type $error' (variant (case "no-such-store") (case "access-denied") (case "other" string)))
        (export "error" (type $error (eq $error')))
        (export "bucket" (type $bucket (sub resource)))
        (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
        (export "[method]bucket.get" (func
            (param "self" (borrow $bucket)) (param "key" string)
            (result (result (option (list u8)) (error $error)))))
        (export "[method]bucket.set" (func
            (param "self" (borrow $bucket)) (param "key" string) (param "value" (list u8))
            (result (result (error $error)))))
    ))
    (alias export $store "error" (type $store-error))
    (alias export $store "bucket" (type $bucket))
    (import "wasi:keyvalue/atomics@0.2.0-draft" (instance $atomics
        (alias outer 1 $store-error (type $error'))
        (export "error" (type $error (eq $error')))
        (alias outer 1 $bucket (type $bucket'))
        (export "bucket" (type $bucket (eq $bucket')))
        (export "increment" (func
            (param "bucket" (borrow $bucket)) (param "key" string) (param "delta" u64)
            (result (result u64 (error $error)))))
    ))

    (import "wasi:cli/exit@0.2.3" (instance $exit
        (export "exit" (func (param "status" (result))))
    ))

    (import "wasi:io/error@0.2.3" (instance $io-error (export "error" (type (sub resource)))))
    (alias export $io-error "error" (type $io-error-type))
    (import "wasi:io/streams@0.2.3" (instance $streams
        (alias outer 1 $io-error-type (type $error'))
        (export "error" (type $error (eq $error')))
        (type $stream-error' (variant (case "last-operation-failed" (own $error)) (case "closed")))
        (export "stream-error" (type $stream-error (eq $stream-error')))
        (export "output-stream" (type $output-stream (sub resource)))
        (export "[method]output-stream.blocking-write-and-flush" (func
            (param "self" (borrow $output-stream)) (param "contents" (list u8))
            (result (result (error $stream-error)))))
    ))
    (alias export $streams "output-stream" (type $output-stream))
    (import "wasi:cli/stderr@0.2.3" (instance $stderr
        (alias outer 1 $output-stream (type $output-stream'))
        (export "output-stream" (type $output-stream (eq $output-stream')))
        (export "get-stderr" (func (result (own $output-stream))))
    ))

    ;; The first 4 KiB of memory hold results, then come a handler's texts; what the host writes goes from 32 KiB on.
    (core module $libc-module
        (memory (export "memory") {pages})
        (global $next (mut i32) (i32.const 32768))
        (func (export "realloc") (param i32 i32 i32 i32) (result i32)
            (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (local.get 3)))))
    (core instance $libc (instantiate $libc-module))
    (alias core export $libc "memory" (core memory $memory))
    (alias core export $libc "realloc" (core func $realloc))

    (core func $topic
        (canon lower (func $events "[method]event.topic") (memory $memory) (realloc $realloc)))
    (core func $body
        (canon lower (func $events "[method]event.body") (memory $memory) (realloc $realloc)))
    (core func $ack
        (canon lower (func $events "[method]event.ack") (memory $memory) (realloc $realloc)))
    (core func $extend
        (canon lower (func $events "[method]event.extend") (memory $memory) (realloc $realloc)))
    (core func $publish
        (canon lower (func $publisher "publish") (memory $memory) (realloc $realloc)))
    (core func $log (canon lower (func $logging "log") (memory $memory)))
    (core func $config-get
        (canon lower (func $config "get") (memory $memory) (realloc $realloc)))
    (core func $open
        (canon lower (func $store "open") (memory $memory) (realloc $realloc)))
    (core func $get
        (canon lower (func $store "[method]bucket.get") (memory $memory) (realloc $realloc)))
    (core func $set
        (canon lower (func $store "[method]bucket.set") (memory $memory) (realloc $realloc)))
    (core func $increment
        (canon lower (func $atomics "increment") (memory $memory) (realloc $realloc)))
    (core func $exit (canon lower (func $exit "exit")))
    (core func $get-stderr (canon lower (func $stderr "get-stderr")))
    (core func $write (canon lower
        (func $streams "[method]output-stream.blocking-write-and-flush") (memory $memory) (realloc $realloc)))

    (core func $drop-event (canon resource.drop $event))

    (core module $main-module
        (import "libc" "memory" (memory 0))
        (import "host" "topic" (func $topic (param i32 i32)))
        (import "host" "body" (func $body (param i32 i32)))
        (import "host" "ack" (func $ack (param i32 i32)))
        (import "host" "extend" (func $extend (param i32 i64 i32)))
        (import "host" "publish" (func $publish (param i32 i32 i32 i32 i32 i32 i32)))
        (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
        (import "host" "config-get" (func $config-get (param i32 i32 i32)))
        (import "host" "open" (func $open (param i32 i32 i32)))
        (import "host" "get" (func $get (param i32 i32 i32 i32)))
        (import "host" "set" (func $set (param i32 i32 i32 i32 i32 i32)))
        (import "host" "increment" (func $increment (param i32 i32 i32 i64 i32)))
        (import "host" "exit" (func $exit (param i32)))
        (import "host" "get-stderr" (func $get-stderr (result i32)))
        (import "host" "write" (func $write (param i32 i32 i32 i32)))
        (import "host" "drop-event" (func $drop-event (param i32)))
        {fields}
        (func $ok (result i32)
            (i32.store (i32.const 16) (i32.const 0))
            (i32.const 16))
        (func $reject (param $text i32) (param $length i32) (result i32)
            (i32.store (i32.const 16) (i32.const 1))
            (i32.store (i32.const 24) (i32.const 1))
            (i32.store (i32.const 32) (local.get $text))
            (i32.store (i32.const 36) (local.get $length))
            (i32.const 16))
        (func $retry (param $text i32) (param $length i32) (param $has-after i32) (param $after i64) (result i32)
            (i32.store (i32.const 16) (i32.const 1))
            (i32.store (i32.const 24) (i32.const 0))
            (i32.store (i32.const 32) (local.get $text))
            (i32.store (i32.const 36) (local.get $length))
            (i32.store (i32.const 40) (local.get $has-after))
            (i64.store (i32.const 48) (local.get $after))
            (i32.const 16))
        (func $handle (param $event i32) (result i32)
            {handle})
        (func $run (export "handle") (param $event i32) (result i32)
            (call $handle (local.get $event))
            {drop})
        (func (export "init") (result i32)
            {init}))
    (core instance $main (instantiate $main-module
        (with "libc" (instance $libc))
        (with "host" (instance
            (export "topic" (func $topic))
            (export "body" (func $body))
            (export "ack" (func $ack))
            (export "extend" (func $extend))
            (export "publish" (func $publish))
            (export "log" (func $log))
            (export "config-get" (func $config-get))
            (export "open" (func $open))
            (export "get" (func $get))
            (export "set" (func $set))
            (export "increment" (func $increment))
            (export "exit" (func $exit))
            (export "get-stderr" (func $get-stderr))
            (export "write" (func $write))
            (export "drop-event" (func $drop-event))))))

    (func $handle (param "event" (borrow $event)) (result (result (error $failure)))
        (canon lift (core func $main "handle") (memory $memory) (realloc $realloc)))
    (instance $subscriber (export "handle" (func $handle)))
    (export "hostel:handler/subscriber@{version}" (instance $subscriber))
    {lifecycle})
