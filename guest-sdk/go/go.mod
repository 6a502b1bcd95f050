module hostel.dev/go

go 1.24
