# Frames of libc, offsets in the code and the kernel's names are not ours to promise.
del(.target, .capture) | .groups |= map(
	.frames |= map(select((.file // "") | test("mix[.]c$"))
		| del(.pc, .sp, .function_offset, .module_offset, .frame) | .file |= sub(".*/"; ""))
	| .state_text |= sub("sleeping in [^,]*"; "sleeping in KERNEL")
	| .threads |= map(del(.wchan))
)
