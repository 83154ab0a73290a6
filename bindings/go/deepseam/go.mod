module deepseam

go 1.19
