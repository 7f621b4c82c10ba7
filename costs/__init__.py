"""What a model costs: parameters, multiply-adds, memory from the graph; published figures beside them."""
