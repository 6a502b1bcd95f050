module conformance

go 1.24

require hostel.dev/go v0.1.0

replace hostel.dev/go => ../../../guest-sdk/go
