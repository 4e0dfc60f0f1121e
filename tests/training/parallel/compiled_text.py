"""Lines as XLA prints them: three collectives, one of them in two parts, and none."""

COMPILED = """
  %all-reduce.1 = f32[16]{0:T(128)} all-reduce(%add.3), replica_groups={{0,1,2,3}}, to_apply=%sum
  %start = (f32[4]{0:T(128)}, f32[16]{0}) all-gather-start(%p.1), dimensions={0}
  %done = f32[16]{0} all-gather-done(%start)
  %cp = bf16[8,128]{1,0:T(8,128)(2,1)} collective-permute(%x), source_target_pairs={{0,1},{1,0}}
  %fusion = f32[16]{0} fusion(%all-reduce.1), kind=kLoop, calls=%fused_all-reduce
"""
