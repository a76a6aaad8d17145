# The mappings of libraries and of the kernel are not ours to promise, nor the gaps that it leaves.
/(VICTIMS|\[heap\]|\[stack\]|^ +START)/!d
