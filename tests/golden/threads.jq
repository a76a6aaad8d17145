# Frames of libc, offsets in the code and the kernel's names are not ours to promise.
del(.target, .capture) | .groups |= map(
	.frames |= map(select((.file // "") | test("mix.c|victim.h"))
		| del(.pc, .sp, .function_offset, .module_offset, .frame) | .file |= sub(".*/"; ""))
	| .state |= sub("sleeping in [^,]*"; "sleeping in KERNEL")
	| .threads |= map(del(.wchan))
)
