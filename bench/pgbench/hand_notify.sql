SELECT hand.consume(:id::bigint, :code::text, true);
