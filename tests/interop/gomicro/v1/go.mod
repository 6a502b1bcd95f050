module hostel.test/v1

go 1.24

require (
	github.com/golang/protobuf v1.3.2
	github.com/micro/go-micro v1.18.0
	hostel.test/protocol v0.0.0
)

require (
	github.com/go-log/log v0.1.0 // indirect
	github.com/google/uuid v1.1.1 // indirect
	github.com/micro/mdns v0.3.0 // indirect
	github.com/miekg/dns v1.1.22 // indirect
	github.com/oxtoacart/bpool v0.0.0-20190530202638-03653db5a59c // indirect
	github.com/pkg/errors v0.8.1 // indirect
	golang.org/x/crypto v0.0.0-20191108234033-bd318be0434a // indirect
	golang.org/x/net v0.0.0-20191109021931-daa7c04131f5 // indirect
	golang.org/x/sys v0.0.0-20190924154521-2837fb4f24fe // indirect
	golang.org/x/text v0.3.2 // indirect
)

replace hostel.test/protocol => ../protocol

// A tool of go-micro's authors that no program imports, and that not every module proxy has any more.
exclude github.com/micro/protoc-gen-micro v1.0.0
