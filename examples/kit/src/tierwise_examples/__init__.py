"""What the example agents share, whatever their framework: ladders, sandbox, retrieval, the bill."""
