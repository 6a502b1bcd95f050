module hostel.test/interop/gomicro/corpus

go 1.26
