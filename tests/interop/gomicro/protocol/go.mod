module hostel.test/protocol

go 1.24
