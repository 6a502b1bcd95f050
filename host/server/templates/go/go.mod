module {{name}}

go 1.24

require hostel.dev/go v0.1.0

replace hostel.dev/go => ./hostel-sdk
