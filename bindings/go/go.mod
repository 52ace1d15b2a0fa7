module lethe

go 1.19
