# Frames of libc and the kernel's names are not ours to promise.
/^  #/{
/mix\.c:/!d
}
s/sleeping in [A-Za-z0-9_.]+/sleeping in KERNEL/
s/^  #[0-9]+ +([^ ]+) +/  # \1 /
